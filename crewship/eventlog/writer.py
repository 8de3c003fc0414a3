"""Group commit: one worker thread, one transaction for all that waits.

While a transaction is on its way to the disk the next appends gather; they go in the next one. So an append alone is as
quick as the disk, and many at once share its cost.
"""

import asyncio
import queue
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Thread
from typing import NamedTuple

from eventsourcing.persistence import StoredEvent

from crewship import clock, measures
from crewship.eventlog.codec import Author, encode, has_secrets
from crewship.eventlog.recorder import LogRecorder, Proposal, StreamMoved
from crewship.secrets import KeyRing
from domain.event import Event, Mark, Recorded, subject

MOST_A_BATCH = 2_000
NO_MARK = Mark()
"""Events in one transaction, roughly: bounds how long one takes."""


class Waiting(NamedTuple):
    """An append on its way."""

    changes: Sequence[tuple[str, int, Sequence[Event], Sequence[Mark]]]
    author: Author
    done: "asyncio.Future[list[int]]"


Outcome = list[int] | Exception
Written = list[tuple[Recorded, int]]


class Writer:
    """The log's one writer. `submit` is called on the event loop; `deliver` is called back there, in log order."""

    def __init__(
        self,
        recorder: LogRecorder,
        keys: KeyRing,
        newest: datetime | None,
        deliver: Callable[[Sequence[Waiting], Sequence[Outcome], Written], None],
    ) -> None:
        self._recorder = recorder
        self._keys = keys
        self._newest = newest
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether appends are being written."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many appends wait for it."""
        return self._queue.qsize()

    def submit(self, waiting: Waiting) -> None:
        """Hand over an append; its future is resolved through `deliver`."""
        self._queue.put(waiting)

    def close(self) -> None:
        """Write what waits, then stop. Blocks until that is done."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (batch := self._take()) is not None:
            live = [waiting for waiting in batch if not waiting.done.cancelled()]
            measures.BATCH_APPENDS.observe(len(live))
            try:
                outcomes, written = self._commit(live)
            except Exception as error:  # whatever it was, those who wait must hear of it
                outcomes, written = [error] * len(live), []
            self._loop.call_soon_threadsafe(self._deliver, live, outcomes, written)

    def _take(self) -> list[Waiting] | None:
        first = self._queue.get()
        if first is None:
            return None
        batch, size = [first], _size(first)
        while size < MOST_A_BATCH:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                self._queue.put(None)  # close comes after what was submitted before it
                break
            batch.append(waiting)
            size += _size(waiting)
        return batch

    def _commit(self, batch: Sequence[Waiting]) -> tuple[list[Outcome], Written]:
        now = clock.now()
        at = max(now, self._newest) if self._newest else now
        keys = self._keys.ensure(
            {
                subject(stream)
                for waiting in batch
                for stream, _, events, _ in waiting.changes
                if any(map(has_secrets, events))
            }
        )
        encoded = [_encode(waiting, at, keys) for waiting in batch]
        proposals = [
            Proposal([(stream, version) for stream, version, _, _ in waiting.changes], stored)
            for waiting, (stored, _) in zip(batch, encoded, strict=True)
        ]
        outcomes: list[Outcome] = list(self._recorder.write(proposals))
        self._newest = at
        written: Written = []
        for outcome, (stored, recorded) in zip(outcomes, encoded, strict=True):
            if isinstance(outcome, list):
                written += [
                    (_placed(event, position), len(state.state))
                    for event, state, position in zip(recorded, stored, outcome, strict=True)
                ]
        return outcomes, written


def _size(waiting: Waiting) -> int:
    return 1 + sum(len(events) for _, _, events, _ in waiting.changes)


def _encode(waiting: Waiting, at: datetime, keys: dict[str, bytes]) -> tuple[list[StoredEvent], list[Recorded]]:
    stored: list[StoredEvent] = []
    recorded: list[Recorded] = []
    author = waiting.author
    for stream, version, events, marks in waiting.changes:
        key = keys.get(subject(stream))
        for number, event in enumerate(events):
            mark = marks[number] if marks else NO_MARK
            place = version + 1 + number
            stored.append(encode(event, stream=stream, version=place, at=at, author=author, mark=mark, key=key))
            recorded.append(
                Recorded(
                    position=0,
                    stream=stream,
                    version=place,
                    at=at,
                    by=author.by,
                    event=event,
                    cause=author.cause,
                    request_id=author.request_id,
                    address=author.address,
                    mark=mark,
                )
            )
    return stored, recorded


def _placed(event: Recorded, position: int) -> Recorded:
    return Recorded(
        position=position,
        stream=event.stream,
        version=event.version,
        at=event.at,
        by=event.by,
        event=event.event,
        cause=event.cause,
        request_id=event.request_id,
        address=event.address,
        mark=event.mark,
    )


__all__ = ["Outcome", "StreamMoved", "Waiting", "Writer", "Written"]
