"""One log, one write door: append, load, read, follow."""

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import psycopg
from eventsourcing.persistence import Notification, PersistenceError

from crewship import measures
from crewship.eventlog.codec import Author, decode, needs_key
from crewship.eventlog.recorder import LogRecorder, StreamMoved
from crewship.eventlog.tail import Tail
from crewship.eventlog.writer import Outcome, Waiting, Writer, Written
from crewship.secrets import KeyRing, WrongKey
from domain.errors import Forbidden, Unavailable
from domain.event import Event, Mark, Recorded, subject

State = TypeVar("State")
Found = TypeVar("Found")
Evolve = Callable[[Any, Any], State]

MOST_WAITING = 10_000
MOST_FOLDS = 512
READ_AT_ONCE = 500
LOOK_AGAIN_SECONDS = 1.0


class Change(msgspec.Struct, frozen=True):
    """What one append does to one stream, which must be at version `at` (0: it must not exist).

    Without events the append only holds if the stream still is there. `marks`, if given, are one an event.
    """

    stream: str
    at: int
    events: Sequence[Event] = ()
    marks: Sequence[Mark] = ()


class EventLog:
    """The log of one installation, over a recorder. Everything here is called on one event loop."""

    def __init__(self, recorder: LogRecorder, keys: KeyRing, *, shared: bool, until: int | None = None) -> None:
        """`shared`: other processes append to the same database, so the tail is what it gives, not what we wrote.

        `until`: the recorder shows the past up to that position, to which nothing is ever added.
        """
        self._recorder = recorder
        self._keys = keys
        self._shared = shared
        self.until = until
        self._readers = ThreadPoolExecutor(max_workers=3, thread_name_prefix="log-reader")
        self._folds: OrderedDict[tuple[str, str], tuple[Any, int, int]] = OrderedDict()
        self._room = asyncio.Semaphore(MOST_WAITING)
        self._tail_task: asyncio.Task[None] | None = None
        self._tail_bell = asyncio.Event()
        self._closing = False
        self._when_forgotten: list[Callable[[], None]] = []
        self.appended = 0
        """The last position that this process has appended."""

    async def open(self) -> None:
        """Find the end of the log and start the writer."""
        newest = await self._call(self._newest)
        self._tail = Tail(newest.position if newest else 0)
        self._writer = Writer(self._recorder, self._keys, newest.at if newest else None, self._deliver)
        self.appended = self._tail.head
        if self._shared:
            self._tail_task = asyncio.create_task(self._read_tail(), name="log-tail")

    async def close(self) -> None:
        """Write what waits, then let go of the database."""
        self._closing = True
        await asyncio.to_thread(self._writer.close)
        if self._tail_task:
            self._tail_task.cancel()
            await asyncio.gather(self._tail_task, return_exceptions=True)
        self._readers.shutdown(wait=True)
        await asyncio.to_thread(self._recorder.close)
        await asyncio.to_thread(self._keys.close)

    @property
    def head(self) -> int:
        """The position of the newest event that followers can see."""
        return self._tail.head

    async def probe(self) -> None:
        """Raises Unavailable if the log's database does not answer."""
        await self._call(self._recorder.max_notification_id)

    @property
    def waiting(self) -> int:
        """How many appends wait for the writer."""
        return self._writer.waiting

    @property
    def closing(self) -> bool:
        """Whether the log takes no more appends, for good."""
        return self._closing

    @property
    def healthy(self) -> bool:
        """Whether appends and followers are being served."""
        return self._writer.alive and (self._tail_task is None or not self._tail_task.done())

    def ring(self) -> None:
        """Somebody has appended; called from the doorbell's thread through the loop."""
        self._tail_bell.set()

    # append ----------------------------------------------------------------------------------------------------------

    async def append(self, *changes: Change, author: Author, patient: bool = False) -> int:
        """Write all changes in one durable transaction, or none; returns the last position written.

        Raises StreamMoved if a stream is not at the version its change names, and Unavailable if the log cannot be
        written or too much waits already; a `patient` caller waits for room instead.
        """
        if self.until is not None:
            raise Forbidden(f"This is the past, as of evt_{self.until:03d}: it can be looked at, not changed")
        if self._closing:
            raise Unavailable("The server is shutting down")
        if self._room.locked() and not patient:
            raise Unavailable("Too many changes are waiting to be written; try again in a moment")
        async with self._room:
            done: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
            parts = [(change.stream, change.at, change.events, change.marks) for change in changes]
            with measures.APPEND_SECONDS.time():
                self._writer.submit(Waiting(parts, author, done))
                positions = await done
        return positions[-1] if positions else self.appended

    def _deliver(self, batch: Sequence[Waiting], outcomes: Sequence[Outcome], written: Written) -> None:
        if written:
            self.appended = written[-1][0].position
            if self._shared:
                self._tail_bell.set()
            else:
                self._tail.push(written)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.done.done():
                continue
            if isinstance(outcome, list):
                waiting.done.set_result(outcome)
            elif isinstance(outcome, StreamMoved):
                waiting.done.set_exception(outcome)
            else:
                error = Unavailable(f"The log cannot be written: {root_of(outcome)}")
                error.__cause__ = outcome
                waiting.done.set_exception(error)

    # load ------------------------------------------------------------------------------------------------------------

    async def load(self, stream: str, evolve: Evolve[State]) -> tuple[State | None, int]:
        """Fold a stream: its state, None if nothing ever happened there, and its version."""
        if "\0" in stream:
            return None, 0  # no stream is named so, and PostgreSQL would refuse to look
        name = (stream, f"{evolve.__module__}.{evolve.__qualname__}")
        state, version, position = self._folds.get(name, (None, 0, 0))
        while True:
            events = await self._read_fresh(position, stream)
            for recorded in events:
                state, version, position = evolve(state, recorded.event), recorded.version, recorded.position
            if len(events) < READ_AT_ONCE:
                break
        if version:
            self._folds[name] = (state, version, position)
            self._folds.move_to_end(name)
            while len(self._folds) > MOST_FOLDS:
                self._folds.popitem(last=False)
        return state, version

    async def end(self, stream: str) -> tuple[int, Mark]:
        """The version at which a stream stands (0 if nothing ever happened there) and the mark of its last event."""

        def look() -> tuple[int, Mark]:
            for stored in self._recorder.select_events(stream, desc=True, limit=1):
                return stored.originator_version, decode(stored, 0, None).mark
            return 0, Mark()

        return await self._call(look)

    async def stored(self, read: Callable[[LogRecorder], Found]) -> Found:
        """What `read` finds in the rows as they lie, in a reader's thread; raises Unavailable."""
        return await self._call(lambda: read(self._recorder))

    # forget ----------------------------------------------------------------------------------------------------------

    async def forget(self, subject_id: str) -> None:
        """Delete a subject's data key: what was sealed under it can never be read again, here or anywhere."""
        await self._call(lambda: self._keys.forget(subject_id))
        await self.let_go({subject_id})

    async def let_go(self, subjects: Collection[str]) -> None:
        """Hold nothing of these subjects in memory: neither events nor folds nor keys."""
        await self._call(lambda: self._keys.let_go(subjects))
        for name in [name for name in self._folds if subject(name[0]) in subjects]:
            del self._folds[name]
        self._tail.clear()
        for dropped in self._when_forgotten:
            dropped()

    def when_forgotten(self, drop: Callable[[], None]) -> None:
        """Have `drop` called whenever events are not to be shown any more as they were read."""
        self._when_forgotten.append(drop)

    # read and follow -------------------------------------------------------------------------------------------------

    async def read(
        self, after: int = 0, *, limit: int = READ_AT_ONCE, streams: Sequence[str] | None = None
    ) -> list[Recorded]:
        """The first `limit` events behind position `after`, of these streams or of all."""
        recent = self._tail.read(after, limit, streams)
        if recent is not None:
            return recent
        return await self._call(lambda: self._read_stored(after, limit, streams))

    async def _read_fresh(self, after: int, stream: str) -> list[Recorded]:
        if self._shared:  # the tail may lag behind what this or another process has appended
            return await self._call(lambda: self._read_stored(after, READ_AT_ONCE, (stream,)))
        return await self.read(after, streams=(stream,))

    def follower(self, after: int, streams: Sequence[str] | None = None) -> "Follower":
        """A reader that goes on where it is and can wait for more. To be used in a `with` block."""
        return Follower(self, self._tail, after, streams)

    async def follow(self, after: int = 0, streams: Sequence[str] | None = None) -> AsyncIterator[list[Recorded]]:
        """All events behind `after`, for ever: first those that are there, then each as it is appended."""
        with self.follower(after, streams) as follower:
            while True:
                yield await follower.next()

    def _read_stored(self, after: int, limit: int, streams: Sequence[str] | None) -> list[Recorded]:
        return [event for event, _ in self._read_sized(after, limit, streams)]

    def _read_sized(self, after: int, limit: int, streams: Sequence[str] | None) -> Written:
        if streams is None:
            rows: Sequence[Notification] = self._recorder.select_notifications(after, limit, inclusive_of_start=False)
        else:
            rows = self._recorder.select_streams(streams, after, limit)
        keys = self._keys.keys({subject(str(row.originator_id)) for row in rows if needs_key(row)})
        return [(self._opened(row, keys.get(subject(str(row.originator_id)))), len(row.state)) for row in rows]

    def _opened(self, row: Notification, key: bytes | None) -> Recorded:
        try:
            return decode(row, row.id, key)
        except WrongKey:
            # What endpoints were told of runs was once sealed under the deployment's key.
            stream = str(row.originator_id)
            owner = stream.partition(":")[0]
            if owner == subject(stream):
                raise
            return decode(row, row.id, self._keys.keys({owner})[owner])

    def _newest(self) -> Recorded | None:
        head = self._recorder.max_notification_id()
        if not head:
            return None
        (row,) = self._recorder.select_notifications(head, 1)
        return decode(row, row.id, self._keys.keys({subject(str(row.originator_id))})[subject(str(row.originator_id))])

    async def _read_tail(self) -> None:
        """Where several processes append, the tail is what the database gives, in its order."""
        while not self._closing:
            self._tail_bell.clear()
            try:
                events = await self._call(lambda: self._read_sized(self._tail.head, READ_AT_ONCE, None))
            except Unavailable:  # the database is away: followers wait, and the next look may find it again
                events = []
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            if events:
                self._tail.push(events)
                continue
            # Not wait_for: on Python 3.11 it can swallow a cancellation that meets the bell, and then never ends.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    await self._tail_bell.wait()

    async def _call(self, read: Callable[[], State]) -> State:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, read)
        except (PersistenceError, sqlite3.Error, psycopg.Error) as fault:
            raise Unavailable(f"The log cannot be read: {root_of(fault)}") from fault


def root_of(fault: BaseException) -> str:
    """What a fault began with: a rollback that failed hides the full disk behind it."""
    while fault.__context__ is not None:
        fault = fault.__context__
    return str(fault).strip() or type(fault).__name__


class Follower:
    """One reader's place in the log. Takes its bell before it reads, so history hands over to live without a gap."""

    def __init__(self, log: EventLog, tail: Tail, after: int, streams: Sequence[str] | None) -> None:
        self._log = log
        self._tail = tail
        self._streams = streams
        self.after = after

    def __enter__(self) -> Self:
        self._bell = self._tail.add_bell(self._streams)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tail.drop_bell(self._bell, self._streams)

    @property
    def ended(self) -> bool:
        """Whether nothing comes behind what is there."""
        return self._log.until is not None

    async def take(self, limit: int = READ_AT_ONCE) -> list[Recorded]:
        """What there is now, possibly nothing."""
        self._bell.clear()
        events = await self._log.read(self.after, limit=limit, streams=self._streams)
        if events:
            self.after = events[-1].position
        return events

    async def next(self, seconds: float | None = None, limit: int = READ_AT_ONCE) -> list[Recorded]:
        """The next events; waits until there are some, or at most so many seconds, then an empty list.

        Of the past nothing comes any more, so there nobody waits those seconds.
        """
        if self.ended and seconds is not None:
            return await self.take(limit)
        try:
            async with asyncio.timeout(seconds):
                while not (events := await self.take(limit)):
                    await self._bell.wait()
                return events
        except TimeoutError:
            return []
