"""Destroys what is to be forgotten: the blobs that nobody else names, the data key, and what lies about of it.

The order survives a death at any point: the decision is in the log, the key goes last, and that it is gone is in the
log again. What a former life left open is what the views say, and doing it twice changes nothing.
"""

import asyncio
from datetime import datetime, timedelta

import structlog

from crewship import clock
from crewship.blobs import BlobStore
from crewship.eventlog import Author, Change, EventLog, StreamMoved
from crewship.eventlog.following import follow
from crewship.views import Views
from domain import erasure as rules
from domain.erasure import DataDestroyed, RunErased, ThreadErased
from domain.errors import Unavailable
from domain.event import Recorded
from projections import erasures as view

CATCH_UP_SECONDS = 60.0
RETRY_SECONDS = 1.0
MOST_AT_ONCE = 200
SETTLING = timedelta(seconds=60)
"""How long after bytes were stored the append that names them may be under way."""
SAME_MOMENT = timedelta(milliseconds=2)
"""The log's clock counts milliseconds."""

logger = structlog.get_logger(__name__)


class Eraser:
    """Follows the log for decisions to erase, and sees each through."""

    def __init__(self, log: EventLog, views: Views, blobs: BlobStore, server_id: str) -> None:
        self._log, self._views, self._blobs = log, views, blobs
        self._author = Author(by=f"server:{server_id}")
        self._open: dict[str, None] = {}
        self._bell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Take up what a former life left open, then follow the log."""
        after = self._log.head
        await self._views.reached(max(after, self._log.appended), CATCH_UP_SECONDS)
        self._open = {row["subject"]: None for row in await self._views.rows(view.UNSETTLED)}
        self._tasks = [
            asyncio.create_task(follow(self._log, after, self._notice), name="eraser"),
            asyncio.create_task(self._run(), name="eraser at work"),
        ]

    async def close(self) -> None:
        """Stop; the next life goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def healthy(self) -> bool:
        """Whether what is to be forgotten is being noticed and destroyed."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def _notice(self, events: list[Recorded]) -> None:
        gone: set[str] = set()
        for recorded in events:
            match recorded.event:
                case RunErased(run_id=subject) | ThreadErased(thread_id=subject):
                    self._open[subject] = None
                    self._bell.set()
                case DataDestroyed(subject=subject):
                    self._open.pop(subject, None)
                    gone.add(subject)
        if gone:  # by another server, it may be, and this one has read it before
            await self._log.let_go(gone)

    async def _run(self) -> None:
        while True:
            self._bell.clear()
            waiting = False
            try:
                while batch := list(self._open)[:MOST_AT_ONCE]:
                    left = await self._destroy(batch)
                    for subject in batch:
                        self._open.pop(subject, None)
                    self._open.update(left)
                    waiting = bool(left)
                    if len(left) == len(batch):
                        break
            except Unavailable as refusal:
                logger.warning("what is to be erased waits", why=refusal.message)
                waiting = True
            except Exception:  # whatever it was, it must not stay for ever
                logger.exception("an erasure stumbled; it is tried again")
                waiting = True
            try:
                async with asyncio.timeout(RETRY_SECONDS if waiting else None):
                    await self._bell.wait()
            except TimeoutError:
                continue

    async def _destroy(self, subjects: list[str]) -> dict[str, None]:
        """Destroy what can be; returns what must wait a moment."""
        await self._log.let_go(subjects)
        # From here on the views show nothing of it, and name the blobs that it named.
        await self._views.reached(max(self._log.head, self._log.appended), CATCH_UP_SECONDS)
        await self._views.scrub()
        left: dict[str, None] = {}
        for subject in subjects:
            if not await self._remove_blobs(subject):
                left[subject] = None
                continue
            await self._log.forget(subject)
            try:
                destroyed = Change(rules.stream(subject), 0, [DataDestroyed(subject=subject)])
                await self._log.append(destroyed, author=self._author, patient=True)
            except StreamMoved:
                pass  # another server was quicker
        return left

    async def _remove_blobs(self, subject: str) -> bool:
        """Delete the blobs that this subject alone names; False if one may be about to be named by another."""
        settled = True
        for row in await self._views.rows(view.BLOBS_OF, subject=subject):
            sha256 = row["sha256"]
            stored_at = await self._blobs.stored_at(sha256)
            if stored_at is None or await self._views.rows(view.OTHERS, sha256=sha256, subject=subject):
                continue
            again = stored_at > datetime.fromisoformat(row["at"]) + SAME_MOMENT
            if again and stored_at > clock.now() - SETTLING:
                settled = False
                continue
            await self._blobs.remove(sha256)
        return settled
