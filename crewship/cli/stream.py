"""Reads a stream of events to its end, through lost connections and restarts of the server."""

import json
import random
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import httpx
from httpx_sse import EventSource, SSEError

from crewship.cli.client import Client
from crewship.cli.errors import CommandError, NoServer, Refused

RUN_ENDS = frozenset({"run.completed", "run.failed", "run.canceled"})
BUILD_ENDS = frozenset({"version.ready", "version.failed"})
# The server writes something every 15 s; when it has been silent for three times that, the connection is dead.
SILENCE = 45.0
PATIENCE = 300.0
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
# A connection that held so long was a sign of life, even if nothing happened on it.
HELD = 5.0
_AGAIN = frozenset({429, 500, 502, 503, 504})


class StreamEvent(NamedTuple):
    """One event: its id in the log, its type, what it holds, and the same as the server wrote it."""

    id: str
    type: str
    data: dict[str, Any]
    raw: str

    @property
    def payload(self) -> dict[str, Any]:
        """The fields that belong to the event's type."""
        payload = self.data.get("payload")
        return payload if isinstance(payload, dict) else self.data


class TookTooLong(CommandError):
    """The time that the caller wanted to wait at most is over; nothing was stopped."""


class EventReader:
    """Iterates over the events of one stream: each once, in order, none left out.

    Ends after an event whose type is in `ends`, or when the server has nothing more (204). While the server cannot be
    reached it tries again with growing pauses, tells `notify` about it, and gives up `patience` seconds after the last
    sign of life. `timeout` bounds the whole; `quiet` ends it as soon as nothing has come for that many seconds.
    """

    def __init__(
        self,
        client: Client,
        *path: str,
        ends: Collection[str],
        notify: Callable[[str], None],
        types: str | None = None,
        timeout: float | None = None,
        quiet: float | None = None,
        patience: float = PATIENCE,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client, self.path, self.ends, self.notify = client, path, ends, notify
        self.params = {"types": types} if types else {}
        self.quiet, self.patience, self.pause = quiet, patience, pause
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.last_id: str | None = None
        self.alive = time.monotonic()
        self.wait = FIRST_PAUSE
        self.lost = False

    def __iter__(self) -> Iterator[StreamEvent]:
        while True:
            try:
                for event in self._connection():
                    yield event
                    if event.type in self.ends:
                        return
            except _Nothing:
                return
            except NoServer as error:
                if isinstance(error.__context__, httpx.ReadTimeout) and self.quiet is not None:
                    return
                reason = error.message
                self._tell_lost()
            except Refused as error:
                if error.status not in _AGAIN:
                    raise
                reason = error.message
                self._tell_lost()
            else:  # which is also how the server ends a stream whose last event the filter held back
                if self.quiet is not None:
                    return
                reason = "the server closed the stream"
            self._rest(reason)

    def _connection(self) -> Iterator[StreamEvent]:
        """The events of one connection, from right behind the last one seen."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        silence = min(filter(None, (self.quiet, SILENCE, self._left())))
        timeout = httpx.Timeout(silence, connect=5.0)
        with self.client.stream(*self.path, params=self.params, headers=headers, timeout=timeout) as answer:
            if answer.status_code == 204:
                raise _Nothing
            if self.lost:
                self.notify("Connected again.")
                self.lost = False
            since = time.monotonic()
            try:
                yield from self._events(answer)
            finally:
                if time.monotonic() - since > HELD:
                    self._lives()

    def _events(self, answer: httpx.Response) -> Iterator[StreamEvent]:
        try:
            for message in EventSource(answer).iter_sse():
                self._left()
                event = _event(message.id, message.event, message.data)
                if event is None or self._seen(event.id):
                    continue
                self.last_id = event.id
                self._lives()
                yield event
        except SSEError:
            raise CommandError(f"{answer.url} does not answer like a Crewship server: check CREWSHIP_URL") from None

    def _seen(self, event_id: str) -> bool:
        """Ids grow: one that does not was drawn before. Compared as numbers, as their width may change."""
        return self.last_id is not None and _number(event_id) <= _number(self.last_id)

    def _lives(self) -> None:
        self.alive, self.wait = time.monotonic(), FIRST_PAUSE

    def _tell_lost(self) -> None:
        if not self.lost:
            self.notify("Connection lost, trying again …")
        self.lost = True

    def _rest(self, reason: str) -> None:
        """Waits before the next try, or gives up."""
        self._left()
        if time.monotonic() - self.alive > self.patience:
            raise NoServer(f"{reason} (gave up after {self.patience:.0f}s)")
        self.pause(self.wait * random.uniform(0.8, 1.2))  # noqa: S311 - spreads clients, guards nothing
        self.wait = min(self.wait * 2, LONGEST_PAUSE)

    def _left(self) -> float | None:
        """Seconds until the deadline, if there is one; raises when it is over."""
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TookTooLong("the time is over")
        return left


class _Nothing(Exception):
    """Nothing can come any more on this stream."""


def _event(event_id: str, kind: str, text: str) -> StreamEvent | None:
    """The event, or None for what is none of ours (a message without data or id)."""
    try:
        data = json.loads(text)
    except ValueError:
        return None
    if not isinstance(data, dict) or not event_id:
        return None
    return StreamEvent(event_id, str(data.get("type") or kind), data, text)


def _number(event_id: str) -> int:
    digits = event_id.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else -1
