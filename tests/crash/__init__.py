"""A server that is killed at every point of its work, again and again, and asked afterwards what it remembers."""
