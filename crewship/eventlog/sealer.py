"""Seals what was appended, range by range, behind the appends and not in their way."""

import asyncio
from functools import partial

import structlog

from crewship.eventlog.codec import Author
from crewship.eventlog.log import Change, EventLog
from crewship.eventlog.recorder import LogRecorder, StreamMoved
from crewship.eventlog.verification import newest_seal, next_seal
from domain.errors import Unavailable
from domain.seal import MOST_EVENTS, STREAM, Head, LogSealed, head_of

PAUSE_SECONDS = 5.0
RETRY_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class Sealer:
    """One server's sealer. Where several servers share a log, whoever is slower finds the range sealed and goes on."""

    def __init__(self, log: EventLog, author: Author, pause: float = PAUSE_SECONDS) -> None:
        """`pause`: how long an event may wait for its seal, in seconds, so that others come under the same."""
        self._log = log
        self._author = author
        self._pause = pause
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to follow the log."""
        self._task = asyncio.create_task(self._follow(), name="sealer")

    async def close(self) -> None:
        """Stop; what was appended until now is sealed if the log still takes it."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self.seal()
        except Unavailable as fault:
            logger.warning("the newest events stay without a seal until the next start", fault=fault.message)

    @property
    def healthy(self) -> bool:
        """Whether events are being sealed."""
        return self._task is not None and not self._task.done()

    async def seal(self) -> Head:
        """Seal all that there is now; returns the end of the chain."""
        async with self._turn:
            until = self._log.head
            head, version = await self._log.stored(newest_seal)
            while head.last < until:
                sealed = await self._log.stored(partial(_next, head=head))
                if sealed is None:
                    break
                try:
                    await self._log.append(Change(STREAM, version, [sealed]), author=self._author, patient=True)
                except StreamMoved:
                    head, version = await self._log.stored(newest_seal)
                else:
                    head, version = head_of(sealed), version + 1
            return head

    async def _follow(self) -> None:
        while True:
            try:
                # What a former life left is sealed first; from then on a bell says when there is more.
                with self._log.follower(self._log.head) as follower:
                    await self.seal()
                    while await follower.next():
                        await asyncio.sleep(self._pause)
                        follower.after = self._log.head
                        await self.seal()
            except Exception:
                logger.exception("events cannot be sealed; trying again")
                await asyncio.sleep(RETRY_SECONDS)


def _next(recorder: LogRecorder, head: Head) -> LogSealed | None:
    return next_seal(recorder, head, MOST_EVENTS)
