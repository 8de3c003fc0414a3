"""The newest events, in memory, and the bells of those who wait for more.

Many readers of the same moment are served from here without a look at the database. The tail holds every event behind
`start`, up to its head; what is older must be read from the database.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain

from domain.event import Recorded

MOST_EVENTS = 8192
MOST_BYTES = 32 * 1024 * 1024


class Tail:
    """A bounded window on the end of the log. Used on the event loop alone."""

    def __init__(self, head: int) -> None:
        self.start = head
        self.head = head
        self._events: deque[tuple[Recorded, int]] = deque()
        self._bytes = 0
        self._streams: dict[str, deque[Recorded]] = {}
        self._stream_bells: dict[str, set[asyncio.Event]] = {}
        self._log_bells: set[asyncio.Event] = set()

    def push(self, events: Sequence[tuple[Recorded, int]]) -> None:
        """Take in what was appended, in order, with the stored size of each, and ring whoever follows it."""
        for event, size in events:
            self._events.append((event, size))
            self._bytes += size
            self._streams.setdefault(event.stream, deque()).append(event)
            self.head = event.position
        while len(self._events) > MOST_EVENTS or self._bytes > MOST_BYTES:
            self._drop_oldest()
        self._ring({event.stream for event, _ in events})

    def advance(self, head: int) -> None:
        """Skip to a position without holding what lies before it: whoever wants that reads the database."""
        self._events.clear()
        self._streams.clear()
        self._bytes = 0
        self.start = self.head = head
        self._ring(self._stream_bells.keys())

    def _drop_oldest(self) -> None:
        event, size = self._events.popleft()
        self._bytes -= size
        self.start = event.position
        of_stream = self._streams[event.stream]
        of_stream.popleft()
        if not of_stream:
            del self._streams[event.stream]

    def read(self, after: int, limit: int, streams: Sequence[str] | None) -> list[Recorded] | None:
        """The first `limit` events behind `after`; None if the tail does not reach back that far."""
        if after < self.start:
            return None
        if streams is None:
            found = _newer((event for event, _ in reversed(self._events)), after)
        else:
            found = list(chain.from_iterable(_newer(reversed(self._streams.get(s, ())), after) for s in streams))
            if len(streams) > 1:
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


def _newer(backwards: Iterable[Recorded], after: int) -> list[Recorded]:
    found = []
    for event in backwards:
        if event.position <= after:
            break
        found.append(event)
    found.reverse()
    return found
