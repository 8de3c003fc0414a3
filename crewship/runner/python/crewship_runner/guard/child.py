"""Starts the child with care: session, environment and descriptors of its own, and the limits that it can carry."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import subprocess
from typing import NamedTuple

from .spec import Limits, Spec

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = (8192, 65536)  # soft and hard, where the guard's own limits are not lower

_prctl = ctypes.CDLL(None).prctl


class CannotStart(Exception):
    """The child could not be started; the message says why."""


class Child(NamedTuple):
    """A started child; it leads a session and a process group of its own. The descriptors do not block.

    `call` and `go` are those of a child that is warm: where its run will lie, and what tells it to read it.
    """

    pid: int
    stdout: int
    stderr: int
    reports: int
    call: int | None = None
    go: int | None = None


def start(command: list[str], spec: Spec, *, warm: bool = False) -> Child:
    """Start `command --report FD --job FD`, warm with `--call FD --go FD` too. Raises CannotStart."""
    job = os.memfd_create("job")  # a pipe would need a writer that waits: an input can be larger than a pipe
    write(job, spec.job)
    call, (child_go, go) = (os.memfd_create("call"), os.pipe()) if warm else (None, (None, None))
    told = [] if call is None else ["--call", str(call), "--go", str(child_go)]
    pipes = [os.pipe() for _ in range(3)]
    (stdout, child_stdout), (stderr, child_stderr), (reports, child_reports) = pipes
    cpus = _choose_cpus(spec.limits.cpus)
    try:
        process = subprocess.Popen(  # noqa: S603 - the program is ours, its arguments are numbers
            [*command, "--report", str(child_reports), "--job", str(job), *told],
            stdin=subprocess.DEVNULL,
            stdout=child_stdout,
            stderr=child_stderr,
            env=spec.env,
            cwd=spec.app,
            close_fds=True,
            pass_fds=[fd for fd in (child_reports, job, call, child_go) if fd is not None],
            start_new_session=True,
            preexec_fn=lambda: _confine(spec.limits, cpus),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotStart(f"the run's process could not be started: {error}") from error
    finally:
        for fd in (child_stdout, child_stderr, child_reports, job, child_go):
            if fd is not None:
                os.close(fd)
    process.returncode = 0  # the guard reaps by itself; Popen must neither wait nor complain
    for fd in (stdout, stderr, reports):
        os.set_blocking(fd, False)
    return Child(process.pid, stdout, stderr, reports, call, go)


def write(fd: int, data: bytes) -> None:
    """Put data into a file in memory, for a reader that begins at its beginning."""
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)


def _choose_cpus(cpus: float | None) -> set[int] | None:
    """Some CPUs at random, so that runs spread; None where all may be used."""
    allowed = os.sched_getaffinity(0)
    if cpus is None or math.ceil(cpus) >= len(allowed):
        return None
    return set(sorted(allowed, key=lambda _: os.urandom(4))[: max(1, math.ceil(cpus))])


def _confine(limits: Limits, cpus: set[int] | None) -> None:
    """Runs in the child before its program: dies with the guard, cannot pass what it is given on the way."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _lower(resource.RLIMIT_CORE, 0, 0)
    _lower(resource.RLIMIT_NOFILE, *_OPEN_FILES)
    if limits.processes is not None:
        _lower(resource.RLIMIT_NPROC, limits.processes, limits.processes)
    if cpus is not None:
        os.sched_setaffinity(0, cpus)


def _lower(which: int, soft: int, hard: int) -> None:
    old = resource.getrlimit(which)[1]
    if old != resource.RLIM_INFINITY:
        hard = min(hard, old)
    resource.setrlimit(which, (min(soft, hard), hard))
