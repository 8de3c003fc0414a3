"""A warm sandbox: everything is imported, and it waits for the one run that it will have.

    guard  →  child     --job FD: what every run of the version shares (`run_id` is empty), readable at once
                        --call FD --go FD: where the run will lie, and a pipe
    child               imports the framework and the entrypoint; what it prints meanwhile is held back
    child  →  guard     {"type": "warm"} over the report pipe; then it reads one byte of the go pipe, which blocks
    guard  →  server    `warm`, the first line of the journal
    server →  guard     the call, on standard input, to its end
    guard  →  child     the call into the call file, then one byte into the go pipe; its end without a byte: give up
    guard  →  server    `ready`, then what was held back; from here on it is a run like any other
    child               joins the call with its job, sets the call's `env`, and runs

The limits of time count from the call, those of memory and disk from the beginning. This holds for every framework.
"""

from __future__ import annotations

import contextlib
import os

from . import child, spec
from .journal import Journal

_READ = 1024 * 1024


class Calling:
    """The standard input of a warm sandbox, from its preparation to the call."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._heard = b""

    def preparation(self) -> bytes:
        """What every run shares: the first line. Waits for it; what ends before it has come is not whole."""
        while b"\n" not in self._heard:
            data = os.read(self.fd, _READ)
            if not data:
                raise spec.BadSpec("the preparation broke off")
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        os.set_blocking(self.fd, False)
        return line

    def hear(self) -> bytes | None:
        """The whole call once it is there, empty where the input ended without one; else None."""
        pieces = [self._heard]
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, _READ):
                pieces.append(data)
            return b"".join(pieces)
        self._heard = b"".join(pieces)
        return None


def hand_over(called: child.Child, job: bytes, journal: Journal) -> None:
    """Give the child its run, and say in the journal that it begins."""
    if called.call is None or called.go is None:
        raise ValueError("this child is not warm")
    child.write(called.call, job)
    journal.mark("ready")
    journal.release()
    journal.flush()
    with contextlib.suppress(OSError):  # it died this moment
        os.write(called.go, b"!")
    for fd in (called.call, called.go):
        os.close(fd)
