"""One run from `ready` to `exit`: a single-threaded loop over pipes, signals, the control channel and the clock."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import time
from typing import Any

from . import calling, processes, spec
from .calling import Calling
from .child import Child
from .disk import TOO_DEEP, DiskWatch
from .journal import Journal
from .output import Output
from .spec import Limits, Spec

MEMORY_PAUSE = 0.25  # seconds between two looks at the run's memory
DRAIN = 2.0  # seconds for what is left in the pipes once every process of the run is dead


class Loop:
    """Watches one child until it has ended, and everything that it started with it.

    With `call` the child is warm: its run, and the time that it may take, begin when the call has come.
    """

    def __init__(
        self,
        child: Child,
        spec: Spec,
        journal: Journal,
        control: int | None,
        wakeups: int,
        call: Calling | None = None,
    ) -> None:
        self._child, self._journal, self._wakeups = child, journal, wakeups
        self._controls = [] if control is None else [control]
        self._limits: Limits = spec.limits
        self._call = call
        self._output = Output(child, journal, warm=call is not None)
        self._commands = b""
        self._status: int | None = None
        self._reason: str | None = None
        self._message: str | None = None
        now = time.monotonic()
        self._timeout_at = math.inf if call else self._end_of_time(now)
        self._kill_at = math.inf
        self._memory_at = math.inf if spec.limits.memory is None else now
        self._disk = DiskWatch(spec.watch) if spec.limits.disk is not None else None

    def _end_of_time(self, begin: float) -> float:
        return math.inf if self._limits.timeout is None else begin + self._limits.timeout

    def run(self) -> None:
        """Returns when the child is reaped, nothing of the run lives, and the journal says how it ended."""
        while self._status is None:
            self._wait()
            self._hear_signals()
            self._hear_control()
            self._output.pump()
            if self._call is not None:
                self._hear_call(self._call)
            self._keep_limits(time.monotonic())
            self._journal.flush()
        processes.end_all()
        deadline = time.monotonic() + DRAIN
        while self._output.open and self._output.pump() and time.monotonic() < deadline:
            self._journal.flush()
        self._output.finish()
        self._journal.release()
        self._journal.add("exit", **self._verdict(self._status))
        self._journal.flush()

    def _wait(self) -> None:
        poll = select.poll()
        calls = [] if self._call is None else [self._call.fd]
        for fd in (self._wakeups, *self._controls, *calls, *self._output.open):
            poll.register(fd, select.POLLIN)
        due = [self._timeout_at, self._kill_at, self._memory_at]
        due += [self._disk.due] if self._disk else []
        due += [self._journal.tokens_due] if self._journal.tokens_due is not None else []
        pause = min(due) - time.monotonic()
        poll.poll(None if pause == math.inf else max(0, math.ceil(pause * 1000)))

    def _hear_signals(self) -> None:
        signals = _read(self._wakeups) or b""
        if signal.SIGTERM in signals or signal.SIGINT in signals:
            self._ask_to_stop("stopped")
        if signal.SIGCHLD in signals:
            self._status = processes.reap().get(self._child.pid)

    def _hear_control(self) -> None:
        heard = b""
        for fd in list(self._controls):
            data = _read(fd)
            if data == b"":  # nobody can write any more; a FIFO that was opened for both never says so
                self._controls.remove(fd)
            heard += data or b""
        *commands, rest = (self._commands + heard).split(b"\n")
        self._commands = rest[-64:]
        if b"stop" in commands:
            self._ask_to_stop("stopped")
        if b"kill" in commands:
            self._kill("stopped")

    def _hear_call(self, call: Calling) -> None:
        heard = call.hear()
        if heard is None or self._status is not None:
            return
        self._call = None
        if not heard:
            self._kill("stopped", "no run needed it")
            return
        try:
            calling.hand_over(self._child, spec.call(heard), self._journal)
        except spec.BadSpec as error:
            self._kill("start_failed", str(error))
        else:
            self._timeout_at = self._end_of_time(time.monotonic())

    def _keep_limits(self, now: float) -> None:
        if self._journal.tokens_due is not None and now >= self._journal.tokens_due:
            self._journal.flush_tokens()
        if now >= self._timeout_at:
            self._timeout_at = math.inf
            self._ask_to_stop("timeout", f"the run took longer than {self._limits.timeout:g} s")
        if now >= self._kill_at:
            self._kill_at = now + 1  # again, should anything have slipped through
            self._kill(self._reason)
        if now >= self._memory_at:
            self._memory_at = now + MEMORY_PAUSE
            self._keep_memory()
        if self._disk is not None and now >= self._disk.due:
            self._keep_disk(self._disk)

    def _keep_memory(self) -> None:
        limit = self._limits.memory
        if limit is not None:
            used = processes.memory(processes.alive(), limit)
            if used > limit:
                self._kill("out_of_memory", f"the run took {_size(used)} of memory; {_size(limit)} are allowed")

    def _keep_disk(self, disk: DiskWatch) -> None:
        limit = self._limits.disk
        used = disk.step()
        if limit is not None and used > limit:
            took = "folders nested too deeply to be counted" if used >= TOO_DEEP else f"{_size(used)} of disk"
            self._kill("disk_full", f"the run took {took}; {_size(limit)} are allowed")

    def _ask_to_stop(self, reason: str, message: str | None = None) -> None:
        """SIGTERM to the child's group; what still lives after the grace period is killed."""
        if self._kill_at != math.inf or self._status is not None:
            return
        self._kill_at = time.monotonic() + self._limits.grace
        self._decide(reason, message)
        with contextlib.suppress(OSError):  # it ended this moment and waits to be reaped
            os.killpg(self._child.pid, signal.SIGTERM)

    def _kill(self, reason: str | None, message: str | None = None) -> None:
        """Everything of the run ends now. The child's end is taken in at once: no signal has to tell."""
        self._decide(reason, message)
        if self._status is None:
            self._status = processes.end_all().get(self._child.pid)

    def _decide(self, reason: str | None, message: str | None) -> None:
        """The first reason stands."""
        if self._reason is None:
            self._reason, self._message = reason, message

    def _verdict(self, status: int) -> dict[str, Any]:
        exited = os.WIFEXITED(status)
        verdict: dict[str, Any] = {
            "code": os.WEXITSTATUS(status) if exited else None,
            "signal": None if exited else os.WTERMSIG(status),
            "reason": self._reason,
            "lost_logs": self._journal.lost_logs,
        }
        return verdict if self._message is None else {**verdict, "message": self._message}


def _read(fd: int) -> bytes | None:
    """What is there now; None for nothing, empty at the end."""
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return None


def _size(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.1f} MiB"
