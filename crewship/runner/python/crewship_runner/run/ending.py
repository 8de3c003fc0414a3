"""The last words of a run, and its exit status."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from . import failures
from .reporter import Reporter

LINGER = 10.0  # seconds that the project's own threads may take to end after the last words
STOPPED = 128 + signal.SIGTERM  # exit status of a run that was asked to stop and did


class Problem(Exception):
    """Why a run cannot go on, said to the project's author; where in our code it was found is of no use to them."""


class Unreadable(Problem):
    """What the thread remembers cannot be taken in by this version of the project."""


class Stopped(KeyboardInterrupt):
    """The run was asked to stop; `finally` blocks of the project run, its `except Exception` does not see it."""


class Ending:
    """Says the last words as soon as they are known: before threads and tasks are waited for that were left behind.

    Both methods return the process's exit status. What is said first counts.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def succeed(self, output: Any) -> int:
        """There is a result."""
        self._reporter.result(output)
        return self._leave(0)

    def fail(self, error: BaseException) -> int:
        """There is none, and why."""
        if isinstance(error, Problem):
            self._reporter.error(str(error), None, unusable=isinstance(error, Unreadable))
        elif isinstance(error, Stopped):
            self._reporter.error("the run was asked to stop", None)
            return self._leave(STOPPED)
        elif isinstance(error, SystemExit):
            called = "" if error.code is None else repr(error.code)
            message = f"the project's code called sys.exit({called}) before there was a result"
            self._reporter.error(message, failures.trace_of(error))
            return self._leave(error.code if isinstance(error.code, int) and 0 < error.code < 256 else 1)
        else:
            self._reporter.error(failures.message_of(error), failures.trace_of(error))
        return self._leave(1)

    def _leave(self, code: int) -> int:
        """Threads that the project forgot keep the process for `LINGER` seconds, no longer."""
        if self._reporter.is_ours:
            timer = threading.Timer(LINGER, self._leave_now, [code])
            timer.daemon = True
            timer.start()
        return code

    def _leave_now(self, code: int) -> None:
        threads = [thread.name for thread in threading.enumerate() if not thread.daemon]
        names = ", ".join(name for name in threads if name != "MainThread") or "the main one"
        message = f"The run is over, but threads of the project still run and are ended: {names}"
        self._reporter.log("warning", message, "runner")
        os._exit(code)
