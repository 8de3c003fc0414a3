"""Keeps the views at the end of the log, and lets a reader wait until they are there."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import structlog
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.base import Executable

from crewship.eventlog import EventLog
from crewship.views.compiled import Compiled
from domain.errors import Unavailable
from projections import ALL
from projections.projection import Projection, Write

BATCH = 2_000
KEEP_CURSOR_EVERY = 5_000
RETRY_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class ViewStore(Protocol):
    """A database that holds views."""

    async def open(self, projections: tuple[Projection, ...], fingerprint: str) -> int:
        """Make what is missing, everything anew if other projections made it; returns how far the views are."""
        ...

    async def close(self) -> None:
        """Let go of the database."""
        ...

    async def reset(self) -> None:
        """Empty all views and put the cursor at the beginning."""
        ...

    async def apply(self, writes: Sequence[Write], cursor: int) -> None:
        """Apply the writes in order and move the cursor, in one transaction."""
        ...

    async def rows(self, statement: Executable, values: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of a query."""
        ...


def fingerprint(projections: tuple[Projection, ...]) -> str:
    """Tells views made by other projections from ours."""
    parts = [f"{projection.name}:{projection.version}" for projection in projections]
    parts += Compiled(sqlite.dialect()).create(projections)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Views:
    """The views of one installation, following its log."""

    def __init__(self, store: ViewStore, log: EventLog, projections: tuple[Projection, ...] = ALL) -> None:
        self._store = store
        self._log = log
        self._projections = projections
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._kept = 0
        self.position = 0

    async def open(self) -> None:
        """Catch up with the log, then follow it."""
        self.position = await self._store.open(self._projections, fingerprint(self._projections))
        if self.position > self._log.head:
            logger.warning("views are ahead of the log; rebuilding them", views=self.position, log=self._log.head)
            await self.rebuild()
        self._kept = self.position
        await self._catch_up()
        self._task = asyncio.create_task(self._follow(), name="views")

    async def close(self) -> None:
        """Stop following; what was read is kept."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._keep([], force=True)
        await self._store.close()

    async def rebuild(self) -> int:
        """Empty the views and make them anew from the log; returns the number of events read."""
        await self._store.reset()
        self.position = self._kept = 0
        return await self._catch_up()

    @property
    def healthy(self) -> bool:
        """Whether the views are being kept."""
        return self._task is not None and not self._task.done()

    async def reached(self, position: int, seconds: float) -> None:
        """Wait until the views hold everything up to a position; raises Unavailable after so many seconds."""
        if self.position >= position:
            return
        try:
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.position >= position)
        except TimeoutError:
            raise Unavailable("The views lag behind the log; try again in a moment") from None

    async def rows(self, statement: Executable, **values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        return await self._store.rows(statement, values)

    async def row(self, statement: Executable, **values: Any) -> dict[str, Any] | None:
        """The first row of a query, if there is one."""
        return next(iter(await self._store.rows(statement, values)), None)

    async def _catch_up(self) -> int:
        count = 0
        while events := await self._log.read(self.position, limit=BATCH):
            await self._take(events)
            count += len(events)
        return count

    async def _follow(self) -> None:
        while True:
            try:
                with self._log.follower(self.position) as follower:
                    while True:
                        await self._take(await follower.next())
            except Exception:  # a full disk or a lost database passes; until then reads say that the views lag
                logger.exception("the views cannot be kept; trying again", position=self.position)
                await asyncio.sleep(RETRY_SECONDS)

    async def _take(self, events: Sequence[Any]) -> None:
        writes = [write for event in events for view in self._projections for write in view.project(event)]
        position = events[-1].position
        await self._keep(writes, position=position)
        async with self._moved:
            self.position = position
            self._moved.notify_all()

    async def _keep(self, writes: Sequence[Write], position: int | None = None, force: bool = False) -> None:
        """Store what changed. A cursor alone is stored now and then: reading on from an older one changes nothing."""
        cursor = self.position if position is None else position
        if writes or cursor - self._kept >= KEEP_CURSOR_EVERY or (force and cursor != self._kept):
            await self._store.apply(writes, cursor)
            self._kept = cursor
