"""Tells endpoints how runs ended: a follower of the log, at least once, each attempt on record."""
