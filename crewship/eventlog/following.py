"""Following the log for as long as the server lives."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from crewship.eventlog.log import EventLog
from domain.event import Recorded

PAUSE_SECONDS = 1.0

logger = structlog.get_logger(__name__)


async def follow(log: EventLog, after: int, handle: Callable[[list[Recorded]], Awaitable[None]]) -> None:
    """Hand every batch behind `after` to `handle`, in order. One that fails is handed over again after a pause.

    So `handle` may see a batch twice, in part or whole; a database that is away for a while stops nothing for good.
    """
    while True:
        try:
            async for events in log.follow(after):
                await handle(events)
                after = events[-1].position
        except Exception:
            logger.exception("a follower of the log stumbled; it tries again", after=after)
            await asyncio.sleep(PAUSE_SECONDS)
