"""sys.stdout, sys.stderr and logging's last resort as reports, so that a print and an event keep their order."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
import threading
from typing import Any

from ..lines import level_of
from .reporter import Reporter

_HELD = 64 * 1024  # characters of a line that is not finished; the beginning is kept, the guard marks it as cut


class LogStream(io.TextIOBase):
    """A text stream whose lines become `log` reports. Lines of several threads do not mix.

    In a fork of the process what is written goes to the descriptor, as it would anywhere.
    """

    encoding = "utf-8"
    errors = "replace"
    newlines = None
    line_buffering = True
    write_through = True
    mode = "w"

    def __init__(self, reporter: Reporter, name: str, fd: int) -> None:
        self._reporter, self._stream, self._fd = reporter, name, fd
        self._held: dict[tuple[int, int], str] = {}
        self.name = f"<{name}>"
        self.buffer = _Buffer(self)

    def write(self, text: str) -> int:
        """Take text; each finished line is reported."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        writer = os.getpid(), threading.get_ident()
        *lines, rest = (self._held.pop(writer, "") + text).split("\n")
        if rest:
            # Past a limit the rest of the line is cut anyway; a carriage return starts the line over.
            self._held[writer] = (_last_state(rest) if "\r" in rest else rest)[: _HELD + 1]
        if self._reporter.is_ours:
            for line in lines:
                self._log(line)
        elif lines:
            _write_all(self._fd, "\n".join(lines) + "\n")
        return len(text)

    def finish(self) -> None:
        """Report what was written without a newline at the end."""
        held, self._held = self._held, {}
        for rest in held.values():
            self._log(rest)

    def _log(self, line: str) -> None:
        line = _last_state(line).rstrip("\r")
        self._reporter.log(level_of(self._stream, line), line, self._stream)

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        """A line that is not finished waits on, except in a fork, which may end without another word."""
        if not self._reporter.is_ours:
            for writer in [writer for writer in self._held if writer[0] == os.getpid()]:
                _write_all(self._fd, self._held.pop(writer))

    def close(self) -> None:
        """Stays open: the interpreter and other threads go on printing."""

    def reconfigure(self, **_: Any) -> None:
        """As TextIOWrapper has it; there is nothing to choose."""


class _Buffer(io.BufferedIOBase):
    """The `buffer` of a LogStream: takes bytes, in order with the text."""

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.raw = self
        self.name = stream.name
        self.mode = "wb"

    def write(self, data: Any) -> int:
        data = bytes(data)
        self._stream.write(self._decoder.decode(data))
        return len(data)

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Stays open, like its stream."""


class _LastResort(logging.Handler):
    """Where records go while the project has no handler of its own: warnings and above, with their level."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.WARNING)
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._reporter.log(record.levelname.lower(), self.format(record), "logging")
        except Exception:
            self.handleError(record)


def install(reporter: Reporter) -> list[LogStream]:
    """Put the streams in the place of Python's own; `finish` them when the run is over."""
    stdout, stderr = LogStream(reporter, "stdout", 1), LogStream(reporter, "stderr", 2)
    sys.stdout, sys.stderr = stdout, stderr
    for original in (sys.__stdout__, sys.__stderr__):
        if isinstance(original, io.TextIOWrapper):
            original.reconfigure(line_buffering=True)
    logging.lastResort = _LastResort(reporter)
    return [stdout, stderr]


def _last_state(line: str) -> str:
    """What a terminal shows of a line with carriage returns in it; those at its end stay."""
    end = len(line.rstrip("\r"))
    return line[line.rfind("\r", 0, end) + 1 :]


def _write_all(fd: int, text: str) -> None:
    data = memoryview(text.encode("utf-8", "replace"))
    while data:
        data = data[os.write(fd, data) :]
