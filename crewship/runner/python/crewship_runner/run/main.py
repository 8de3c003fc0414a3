"""One job, from its first log line to its last words."""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import signal
import sys
import threading
from typing import Any

from . import entrypoint, failures, streams
from .reporter import Reporter

FRAMEWORKS = {"langgraph": ".langgraph"}  # framework → the module beside this one that runs it
LINGER = 10.0  # seconds that the project's own threads may take to end after the last words
STOPPED = 128 + signal.SIGTERM  # exit status of a run that was asked to stop and did


class Stopped(KeyboardInterrupt):
    """The run was asked to stop; `finally` blocks of the project run, its `except Exception` does not see it."""


def main(arguments: list[str]) -> int:
    """Run the job; returns the process's exit status, 0 when there is a result."""
    parser = argparse.ArgumentParser(prog="run.py", allow_abbrev=False)
    parser.add_argument("--report", type=int, required=True, metavar="FD")
    parser.add_argument("--job", type=int, required=True, metavar="FD")
    options = parser.parse_args(arguments)
    os.set_inheritable(options.report, False)
    with open(options.job, "rb") as file:
        job = json.load(file)
    reporter = Reporter(options.report)
    reporter.finishing += [stream.finish for stream in streams.install(reporter)]
    signal.signal(signal.SIGTERM, lambda *_: _stop(reporter))
    reporter.log("info", "Starting crew execution", "runner")
    code = _attempt(job, reporter)
    _leave_soon(code, reporter)
    return code


def _attempt(job: dict[str, Any], reporter: Reporter) -> int:
    """Whatever happens becomes last words."""
    try:
        module = FRAMEWORKS.get(job["framework"])
        if module is None:
            raise entrypoint.BadEntrypoint(f"framework {job['framework']!r} is not known to this runner")
        entrypoint.extend_path(job["app"], job["site"])
        entry = entrypoint.load(job["entrypoint"], job["app"])
        framework = importlib.import_module(module, __package__)
        return int(framework.run(entry, job, reporter, lambda error: conclude(error, reporter)))
    except BaseException as error:
        return conclude(error, reporter)


def conclude(error: BaseException, reporter: Reporter) -> int:
    """Report why there is no result; returns the exit status. Only the first last words of a run count."""
    code = 1
    if isinstance(error, entrypoint.BadEntrypoint):
        reporter.error(str(error), None)
    elif isinstance(error, Stopped):
        reporter.error("the run was asked to stop", None)
        code = STOPPED
    elif isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) and 0 < error.code < 256 else 1
        called = "" if error.code is None else repr(error.code)
        message = f"the project's code called sys.exit({called}) before there was a result"
        reporter.error(message, failures.trace_of(error))
    else:
        reporter.error(failures.message_of(error), failures.trace_of(error))
    _leave_soon(code, reporter)
    return code


def _stop(reporter: Reporter) -> None:
    """Raise Stopped in the main thread, and in the threads in which asyncio runs what is not async."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        # A worker whose innermost frame is the pool's own has nothing to do.
        if thread.name.startswith("asyncio_") and frame is not None and frame.f_code.co_name != "_worker":
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Stopped))
    reporter.interrupt(Stopped())


def _leave_soon(code: int, reporter: Reporter) -> None:
    """Nothing more is expected: threads that the project forgot keep the process for `LINGER` seconds, no longer."""
    if not reporter.is_ours:
        return

    def leave() -> None:
        names = ", ".join(thread.name for thread in threading.enumerate() if not thread.daemon)
        reporter.log("warning", f"The run is over, but threads of the project still run: {names}", "runner")
        os._exit(code)

    timer = threading.Timer(LINGER, leave)
    timer.daemon = True
    timer.start()
