"""The newest events, in memory, and the bells of those who wait for more.

Many readers of the same moment are served from here without a look at the database. The tail holds every event behind
`start`, up to its head; what is older must be read from the database.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence

from domain.event import Recorded

MOST_EVENTS = 8192
MOST_BYTES = 32 * 1024 * 1024


class Shelf:
    """Events in the order of their positions: put on at one end, taken off at the other, found by position."""

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._events: list[Recorded] = []
        self._gone = 0

    def add(self, event: Recorded) -> None:
        """Put the newest event on."""
        self._positions.append(event.position)
        self._events.append(event)

    def drop_oldest(self) -> bool:
        """Take the oldest event off; whether any is left. What was taken is cleared away in larger pieces."""
        self._gone += 1
        if self._gone * 2 > len(self._events):
            del self._positions[: self._gone]
            del self._events[: self._gone]
            self._gone = 0
        return self._gone < len(self._events)

    def behind(self, after: int, limit: int) -> list[Recorded]:
        """The first `limit` events behind a position."""
        start = bisect_right(self._positions, after, self._gone)
        return self._events[start : start + limit]


class Tail:
    """A bounded window on the end of the log. Used on the event loop alone."""

    def __init__(self, head: int) -> None:
        self._stream_bells: dict[str, set[asyncio.Event]] = {}
        self._log_bells: set[asyncio.Event] = set()
        self.start = head
        self.head = head
        self._sizes: deque[tuple[int, str, int]] = deque()
        self._bytes = 0
        self._all = Shelf()
        self._streams: dict[str, Shelf] = {}

    def push(self, events: Sequence[tuple[Recorded, int]]) -> None:
        """Take in what was appended, in order, with the stored size of each, and ring whoever follows it."""
        for event, size in events:
            self._sizes.append((event.position, event.stream, size))
            self._bytes += size
            self._all.add(event)
            self._streams.setdefault(event.stream, Shelf()).add(event)
            self.head = event.position
        while len(self._sizes) > MOST_EVENTS or self._bytes > MOST_BYTES:
            self._drop_oldest()
        self._ring({event.stream for event, _ in events})

    def _drop_oldest(self) -> None:
        self.start, stream, size = self._sizes.popleft()
        self._bytes -= size
        self._all.drop_oldest()
        if not self._streams[stream].drop_oldest():
            del self._streams[stream]

    def clear(self) -> None:
        """Hold nothing of what was until now: it is read from the database, as it can be read there."""
        self.start = self.head
        self._sizes.clear()
        self._bytes = 0
        self._all = Shelf()
        self._streams.clear()

    def read(self, after: int, limit: int, streams: Sequence[str] | None) -> list[Recorded] | None:
        """The first `limit` events behind `after`; None if the tail does not reach back that far."""
        if after < self.start:
            return None
        if streams is None:
            return self._all.behind(after, limit)
        found = [
            event for name in streams if name in self._streams for event in self._streams[name].behind(after, limit)
        ]
        found.sort(key=lambda event: event.position)
        return found[:limit]

    def add_bell(self, streams: Sequence[str] | None) -> asyncio.Event:
        """A bell that rings at every append to these streams, or to any."""
        bell = asyncio.Event()
        if streams is None:
            self._log_bells.add(bell)
        for stream in streams or ():
            self._stream_bells.setdefault(stream, set()).add(bell)
        return bell

    def drop_bell(self, bell: asyncio.Event, streams: Sequence[str] | None) -> None:
        """Forget a bell."""
        self._log_bells.discard(bell)
        for stream in streams or ():
            bells = self._stream_bells.get(stream, set())
            bells.discard(bell)
            if not bells:
                self._stream_bells.pop(stream, None)

    def _ring(self, streams: Iterable[str]) -> None:
        for bell in self._log_bells:
            bell.set()
        for stream in streams:
            for bell in self._stream_bells.get(stream, ()):
                bell.set()
