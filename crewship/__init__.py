"""The service: the only package that waits, opens, spawns or listens."""
