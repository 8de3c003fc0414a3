"""Erasure: what a run or a thread holds of a person is destroyed; that it was there, and when, stays.

It is decided by an event, from which on nothing of the data is shown. Then the blobs that nobody else names go, then
the data key. That both are gone is an event too, so a server that dies in between knows what is left to do.
"""

from typing import Literal

from domain.event import Event

Why = Literal["request", "retention"]


class RunErased(Event, tag="run.erased", frozen=True, kw_only=True):
    """What the run was given, said, left behind and gave back is to be forgotten."""

    run_id: str
    why: Why = "request"


class ThreadErased(Event, tag="thread.erased", frozen=True, kw_only=True):
    """What the thread remembers and says of itself is to be forgotten; it takes no more runs."""

    thread_id: str
    why: Why = "request"


class DataDestroyed(Event, tag="data.destroyed", frozen=True, kw_only=True):
    """The data key of a run or a thread and its own blobs are gone: what was sealed can never be read again."""

    subject: str


def stream(subject_id: str) -> str:
    """The stream that holds whether a subject's data were destroyed."""
    return f"{subject_id}:erasure"


def evolve(_: bool | None, event: DataDestroyed) -> bool:
    """Whether the subject's data are gone."""
    return True
