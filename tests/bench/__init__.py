"""Speeds, each as a ratio to what the machine can do at best, measured in the same run."""
