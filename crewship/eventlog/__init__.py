"""The single append-only log: append, load, read, follow."""

from crewship.eventlog.browsing import Found, Query, browse, position_before
from crewship.eventlog.codec import Author, UnknownEvent
from crewship.eventlog.log import Change, EventLog, Follower
from crewship.eventlog.opening import fill_log, key_store, open_log, open_past, stored_log
from crewship.eventlog.recorder import StoredRow, StreamMoved
from crewship.eventlog.sealer import Sealer
from crewship.eventlog.verification import Verified, newest_seal, verify

__all__ = [
    "Author",
    "Change",
    "EventLog",
    "Follower",
    "Found",
    "Query",
    "Sealer",
    "StoredRow",
    "StreamMoved",
    "UnknownEvent",
    "Verified",
    "browse",
    "fill_log",
    "key_store",
    "newest_seal",
    "open_log",
    "open_past",
    "position_before",
    "stored_log",
    "verify",
]
