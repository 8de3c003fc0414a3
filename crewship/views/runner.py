"""Keeps the views at the end of the log, and lets a reader wait until they are there."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec
import structlog
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.base import Executable

from crewship import clock
from crewship.eventlog import EventLog
from crewship.eventlog.recorder import LogRecorder
from crewship.views.compiled import Compiled
from domain.errors import Unavailable
from projections import ALL
from projections.projection import Projection, Write

BATCH = 2_000
RENEWAL_BATCH = 250
"""Few, so that requests get their turn in between."""
LONGEST_READ_SECONDS = 60.0
KEEP_CURSOR_EVERY = 5_000
RETRY_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class Overtaken(Exception):
    """Another server has moved the views to `position` meanwhile; nothing was written."""

    def __init__(self, position: int) -> None:
        super().__init__(f"another server has moved the views to {position}")
        self.position = position


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

    def beside(self) -> "ViewStore":
        """A store for the same views beside this one; what is opened there is empty."""
        ...

    async def settle(self) -> None:
        """From a store beside another, become the one that every start opens."""
        ...

    async def remove(self) -> None:
        """Let go, and delete what lies beside the one that every start opens."""
        ...

    async def apply(self, writes: Sequence[Write], cursor: int) -> None:
        """Apply the writes in order and move the cursor, in one transaction. Raises Overtaken if others moved it."""
        ...

    async def scrub(self) -> None:
        """Leave nothing on the disk of what was overwritten, as far as the database lets one."""
        ...

    async def rows(self, statement: Executable, values: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of a query."""
        ...


def fingerprint(projections: tuple[Projection, ...]) -> str:
    """Tells views made by other projections from ours."""
    parts = [f"{projection.name}:{projection.version}" for projection in projections]
    parts += Compiled(sqlite.dialect()).create(projections)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Renewal(msgspec.Struct, kw_only=True):
    """How far views are that are made anew beside those that serve."""

    state: Literal["running", "done", "failed"] = "running"
    started_at: datetime
    finished_at: datetime | None = None
    events: int = 0
    position: int = 0
    error: str | None = None


class Views:
    """The views of one installation, following its log.

    Several servers may keep the same views: each batch is written by whichever comes first, the others go on behind it.
    """

    def __init__(self, store: ViewStore, log: EventLog, projections: tuple[Projection, ...] = ALL) -> None:
        self._store = store
        self._log = log
        self._projections = projections
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._kept = 0
        self._turn = asyncio.Lock()
        self._reading: Counter[ViewStore] = Counter()
        self._left = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None
        self.renewal: Renewal | None = None
        """The last renewal, if there was one."""
        self.position = 0

    async def open(self) -> None:
        """Catch up with the log, then follow it."""
        self.position = await self._store.open(self._projections, fingerprint(self._projections))
        if self.position > self._log.head and self.position > await self._log.stored(_end):
            logger.warning("views are ahead of the log; rebuilding them", views=self.position, log=self._log.head)
            await self.rebuild()
        self._kept = self.position
        await self._catch_up()
        self._task = asyncio.create_task(self._follow(), name="views")

    async def close(self) -> None:
        """Stop following; what was read is kept."""
        for task in filter(None, (self._renewing, self._task)):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        with suppress(Overtaken):
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
        store = self._store
        self._reading[store] += 1
        try:
            return await store.rows(statement, values)
        finally:
            self._reading[store] -= 1
            self._left.set()

    async def row(self, statement: Executable, **values: Any) -> dict[str, Any] | None:
        """The first row of a query, if there is one."""
        return next(iter(await self.rows(statement, **values)), None)

    async def scrub(self) -> None:
        """Leave nothing on the disk of what events until now have taken out of the views."""
        async with self._turn:
            await self._store.scrub()

    def renew(self) -> Renewal:
        """Begin to make the views anew beside those that serve, unless that is under way; says how far it is.

        The old ones serve until the new ones are as far; readers of either see the same.
        """
        if self.renewal is None or self._renewing is None or self._renewing.done():
            self.renewal = Renewal(started_at=clock.now())
            self._renewing = asyncio.create_task(self._renew(self.renewal), name="views renewal")
        return self.renewal

    async def _renew(self, renewal: Renewal) -> None:
        old, fresh = self._store, self._store.beside()
        try:
            await fresh.open(self._projections, fingerprint(self._projections))
            await self._fill(fresh, renewal)
            async with self._turn:
                await self._fill(fresh, renewal)
                await fresh.settle()
                self._store, self._kept = fresh, self.position
            await self._retire(old)
            renewal.state = "done"
        except BaseException as fault:
            renewal.state, renewal.error = "failed", str(fault) or type(fault).__name__
            if self._store is old:
                await fresh.remove()
            if not isinstance(fault, Exception):
                raise
            logger.exception("the views were not made anew; the old ones go on")
        finally:
            renewal.finished_at = clock.now()

    async def _fill(self, fresh: ViewStore, renewal: Renewal) -> None:
        """Bring a fresh store to where the views are, and not beyond."""
        while renewal.position < self.position:
            events = await self._log.read(renewal.position, limit=RENEWAL_BATCH)
            events = [event for event in events if event.position <= self.position]
            writes = [write for event in events for view in self._projections for write in view.project(event)]
            await fresh.apply(writes, events[-1].position)
            renewal.position = events[-1].position
            renewal.events += len(events)

    async def _retire(self, old: ViewStore) -> None:
        """Remove a store once nobody reads it any more."""
        async with asyncio.timeout(LONGEST_READ_SECONDS):
            while self._reading[old]:
                self._left.clear()
                await self._left.wait()
        del self._reading[old]
        await old.remove()

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
                        follower.after = self.position
            except Exception:  # a full disk or a lost database passes; until then reads say that the views lag
                logger.exception("the views cannot be kept; trying again", position=self.position)
                await asyncio.sleep(RETRY_SECONDS)

    async def _take(self, events: Sequence[Any]) -> None:
        writes = [write for event in events for view in self._projections for write in view.project(event)]
        position = events[-1].position
        async with self._turn:
            try:
                await self._keep(writes, position=position)
            except Overtaken as overtaken:
                position = self._kept = overtaken.position
            async with self._moved:
                self.position = position
                self._moved.notify_all()

    async def _keep(self, writes: Sequence[Write], position: int | None = None, force: bool = False) -> None:
        """Store what changed. A cursor alone is stored now and then: reading on from an older one changes nothing."""
        cursor = self.position if position is None else position
        if writes or cursor - self._kept >= KEEP_CURSOR_EVERY or (force and cursor != self._kept):
            await self._store.apply(writes, cursor)
            self._kept = cursor


def _end(recorder: LogRecorder) -> int:
    """The last position of the log as it lies; the head that a server knows may be older."""
    return recorder.max_notification_id() or 0
