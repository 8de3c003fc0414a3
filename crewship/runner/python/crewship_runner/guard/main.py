"""The guard's beginning: its descriptors, its lock, its spec; then the loop."""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import signal
import sys
from typing import Any

from . import child, processes, spec
from .calling import Calling
from .journal import Journal
from .loop import Loop

LOCKED = 75  # exit status: another guard holds the lock, or this run has begun before; nothing was written
UNWRITABLE = 74  # exit status: the journal could not be written; the run was killed
_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Guard one run. Returns 0 when the journal ends with its `exit` line, however the run went."""
    options = _options(arguments)
    for fd in (options.journal, options.control, options.bell, options.lock):
        if fd is not None:
            os.set_inheritable(fd, False)
    if not _lock(options.lock) or os.fstat(options.journal).st_size > 0:
        print("crewship: this run has a guard already, or had one", file=sys.stderr)
        return LOCKED
    for fd in (options.bell, options.control):
        if fd is not None:
            os.set_blocking(fd, False)
    journal = Journal(options.journal, options.bell, ascii_only=options.ascii)
    wakeups = _listen()
    try:
        calling = Calling(sys.stdin.fileno()) if options.warm else None
        order = spec.read(calling.preparation() if calling else sys.stdin.buffer.read())
        journal.limit_logs(order.limits.logs)
        _guard(options, order, journal, wakeups, calling)
    except (spec.BadSpec, child.CannotStart) as error:
        return _refuse(journal, str(error))
    except OSError as error:
        processes.end_all()
        print(f"crewship: the journal cannot be written: {error}", file=sys.stderr)
        return UNWRITABLE
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="guard.py", allow_abbrev=False)
    parser.add_argument("--journal", type=int, required=True, metavar="FD")
    for name in ("control", "bell", "lock"):  # not there in a container, which has signals, a log and a name
        parser.add_argument(f"--{name}", type=int, metavar="FD")
    parser.add_argument("--ascii", action="store_true", help="for a journal whose keeper cuts lines between any bytes")
    parser.add_argument("--warm", action="store_true", help="get everything ready, and wait for the run on stdin")
    parser.add_argument("command", nargs="+", help="the child's program, which is told --report FD --job FD")
    return parser.parse_args(arguments)


def _lock(fd: int | None) -> bool:
    """Take the lock that tells the server that this guard lives, and its pid; held until the process ends."""
    if fd is None:
        return True
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _guard(options: Any, order: spec.Spec, journal: Journal, wakeups: int, calling: Calling | None) -> None:
    if os.getpid() != 1:  # PID 1 adopts orphans anyway
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if calling:
        journal.hold()
    else:
        journal.add("ready")
        journal.flush()
    started = child.start(options.command, order, warm=calling is not None)
    Loop(started, order, journal, options.control, wakeups, calling).run()


def _listen() -> int:
    """Signals that matter become bytes in a pipe, whose reading end is returned."""
    reading, writing = os.pipe()
    for fd in (reading, writing):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reading


def _refuse(journal: Journal, message: str) -> int:
    journal.release()
    journal.add("exit", code=None, signal=None, reason="start_failed", message=message, lost_logs=0)
    journal.flush()
    return 0
