"""The processes of a run, seen through /proc: who they are, what memory they hold, and how all of them are ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

_PAGE = os.sysconf("SC_PAGE_SIZE")


def alive() -> list[int]:
    """Every process of the run but this one: the rest of the pid namespace for PID 1, else what descends from here."""
    parents = dict(_table())
    if os.getpid() == 1:
        return [pid for pid in parents if pid != 1]
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found, look = [], [os.getpid()]
    while look:
        below = children.get(look.pop(), [])
        found += below
        look += below
    return found


def _table() -> Iterator[tuple[int, int]]:
    """Pairs of (pid, parent's pid) of all processes that have not ended."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _read(f"/proc/{name}/stat")
            state, parent = stat[stat.rfind(b")") + 2 :].split(b" ", 2)[:2] if stat else (b"X", b"0")
            if state not in (b"Z", b"X"):
                yield int(name), int(parent)


def memory(pids: list[int], limit: int) -> int:
    """Bytes that these processes hold together; memory that several share counts once when it matters.

    Resident sizes are cheap and never too small, so the exact shares are only read when their sum passes the limit.
    """
    resident = sum(_resident(pid) for pid in pids)
    return resident if resident <= limit else sum(_share(pid) for pid in pids)


def _resident(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE if len(fields) > 1 else 0


def _share(pid: int) -> int:
    """The process's proportional share; its resident size where the kernel does not let us see it."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident(pid)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # it ended meanwhile, or is not ours to see
        return b""


def end_all(patience: float = 5.0) -> dict[int, int]:
    """Kill every process of the run and reap it: pid → wait status of those that were children of this process.

    Gives up after `patience` seconds on what cannot be killed.
    """
    deadline = time.monotonic() + patience
    ended: dict[int, int] = {}
    quiet = 0  # an orphan can be missed while it changes its parent: nobody twice in a row is nobody
    while quiet < 2 and time.monotonic() < deadline:
        if os.getpid() == 1:
            _kill(-1)  # all of the namespace but this process, at once: nothing can fork itself away
        else:
            for pid in alive():
                _kill(pid)
        ended.update(reap())
        quiet = 0 if alive() else quiet + 1
        if not quiet:
            time.sleep(0.002)
    return {**ended, **reap()}


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):  # gone already
        os.kill(pid, signal.SIGKILL)


def reap() -> dict[int, int]:
    """Take in all processes that ended below this one: pid → wait status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status
