"""Reports to the guard: one JSON line each over the report pipe."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from ..lines import shorten
from .jsonable import dumps

RESULT_LIMIT = 32 * 1024 * 1024  # bytes of an output, or of what a thread keeps; the guard refuses what is larger
REPORT_LIMIT = 4 * 1024 * 1024  # bytes of every other report
ERROR_LIMIT = 64 * 1024  # bytes of an error's message
TRACE_LIMIT = 256 * 1024  # bytes of a stack trace


class TooLarge(Exception):
    """What a thread keeps cannot be shortened; the message says what was too large."""


class Reporter:
    """Writes whole lines, from any thread. A process that was forked from this one reports nothing.

    A report made while this thread is in the middle of another (a destructor, a signal) comes right after it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._waiting: list[bytes] = []
        self._writing = False
        self._interruption: BaseException | None = None
        self.finishing: list[Callable[[], None]] = []  # called before the last words

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that reports, not a fork of it."""
        return os.getpid() == self._owner

    def report(self, kind: str, **fields: Any) -> None:
        """Send one report; values become JSON whatever they are. Does nothing in a fork."""
        if not self.is_ours:
            return
        line = dumps({"type": kind, **fields})
        if len(line) > REPORT_LIMIT and kind != "error":
            line = dumps({"type": kind, **{name: _fitting(value) for name, value in fields.items()}})
        self._send(line)

    def keep(self, kind: str, **fields: Any) -> None:
        """Send what a thread keeps, whole. Raises TooLarge. Does nothing in a fork."""
        if not self.is_ours:
            return
        line = dumps({"type": kind, **fields})
        if len(line) > RESULT_LIMIT:
            raise TooLarge(f"the thread's state is too large: one report ({kind}) has {len(line) >> 20} MiB, not 32")
        self._send(line)

    def interrupt(self, interruption: BaseException) -> None:
        """Raise `interruption` here, in the main thread, or as soon as the line that it is writing is whole."""
        # The lock is taken at once where this very thread holds it, and not at all where another one does.
        mine = self._lock.acquire(blocking=False)
        try:
            if not (mine and self._writing):
                raise interruption
            self._interruption = interruption
        finally:
            if mine:
                self._lock.release()

    def log(self, level: str, message: str, stream: str) -> None:
        """Send one log line; the message is cut to 64 KiB."""
        message, cut = shorten(message)
        self.report("log", level=level, message=message, stream=stream, truncated=cut)

    def result(self, output: Any) -> None:
        """Send the run's output; an error instead where it is too large."""
        self._finish()
        line = dumps({"type": "result", "output": output})
        if len(line) - len(b'{"type":"result","output":}') > RESULT_LIMIT:
            self.error("output is larger than 32 MiB", None)
        elif self.is_ours:
            self._send(line)

    def error(self, error: str, stack_trace: str | None, *, unusable: bool = False) -> None:
        """Send why the run failed; `unusable`: it could not start from its thread's state."""
        self._finish()
        trace = stack_trace and shorten(stack_trace, TRACE_LIMIT)[0]
        more = {"unusable": True} if unusable else {}
        self.report("error", error=shorten(error, ERROR_LIMIT)[0], stack_trace=trace, **more)

    def _finish(self) -> None:
        for finish in self.finishing:
            finish()

    def _send(self, line: bytes) -> None:
        with self._lock:
            self._waiting.append(line + b"\n")
            if self._writing:
                return
            self._writing = True
            try:
                while self._waiting:
                    self._write(self._waiting.pop(0))
            except OSError:
                self._owner = 0  # the guard is gone, and with it every reader
            finally:
                self._writing = False
            interruption, self._interruption = self._interruption, None
        if interruption is not None:
            raise interruption

    def _write(self, line: bytes) -> None:
        data = memoryview(line)
        while data:
            data = data[os.write(self._fd, data) :]


def _fitting(value: Any) -> Any:
    """The value, or a note in its place where it is too large for an event."""
    size = len(dumps(value))
    return value if size < REPORT_LIMIT // 4 else f"({size} bytes of JSON, too large for an event)"
