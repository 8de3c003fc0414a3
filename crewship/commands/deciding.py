"""Deciding again when somebody else was quicker."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from crewship.eventlog import StreamMoved
from domain.errors import Conflict

T = TypeVar("T")

ATTEMPTS = 3


async def decide(attempt: Callable[[], Awaitable[T]]) -> T:
    """Load, decide and append as `attempt` does; a lost race is decided again, at most three times, then a Conflict."""
    for _ in range(ATTEMPTS):
        try:
            return await attempt()
        except StreamMoved:
            continue
    raise Conflict("This was changed by somebody else at the same moment; look again and retry")


async def insist(attempt: Callable[[], Awaitable[T]]) -> T:
    """As `decide`, but until it is done: for the engine, whose work is over only then.

    It ends, since each lost race means that the stream has moved on, and a run's stream is short.
    """
    while True:
        try:
            return await attempt()
        except StreamMoved:
            continue
