"""The single append-only log: append, load, read, follow."""

from crewship.eventlog.codec import Author, UnknownEvent
from crewship.eventlog.log import Change, EventLog, Follower
from crewship.eventlog.opening import open_log
from crewship.eventlog.recorder import StreamMoved

__all__ = ["Author", "Change", "EventLog", "Follower", "StreamMoved", "UnknownEvent", "open_log"]
