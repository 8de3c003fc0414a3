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

from . import entrypoint, streams
from .ending import Ending, Problem, Stopped
from .reporter import Reporter

FRAMEWORKS = {"crewai": ".crewai", "langgraph": ".langgraph"}  # framework → the module beside this one that runs it


def main(arguments: list[str]) -> int:
    """Run the job; returns the process's exit status, 0 when there is a result."""
    parser = argparse.ArgumentParser(prog="run.py", allow_abbrev=False)
    parser.add_argument("--report", type=int, required=True, metavar="FD")
    parser.add_argument("--job", type=int, required=True, metavar="FD")
    for name in ("call", "go"):  # of a warm sandbox: see crewship_runner/guard/calling.py
        parser.add_argument(f"--{name}", type=int, metavar="FD")
    options = parser.parse_args(arguments)
    for descriptor in (options.report, options.call, options.go):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
    with open(options.job, "rb") as file:
        job = json.load(file)
    reporter = Reporter(options.report)
    reporter.finishing += [stream.finish for stream in streams.install(reporter)]
    signal.signal(signal.SIGTERM, lambda *_: _stop(reporter))
    if options.call is None:
        _begin(reporter)
    return _attempt(job, reporter, Ending(reporter), options)


def _begin(reporter: Reporter) -> None:
    reporter.log("info", "Starting crew execution", "runner")


def _attempt(job: dict[str, Any], reporter: Reporter, ending: Ending, options: argparse.Namespace) -> int:
    """Whatever happens becomes last words."""
    try:
        module = FRAMEWORKS.get(job["framework"])
        if module is None:
            raise Problem(f"framework {job['framework']!r} is not known to this runner")
        entrypoint.extend_path(job["app"], job["site"])
        framework = importlib.import_module(module, __package__)
        with entrypoint.importing():
            framework.prepare()
            entry = entrypoint.load(job["entrypoint"], job["app"])
        if options.call is not None:
            job |= _called(reporter, options.call, options.go)
        return int(framework.run(entry, job, reporter, ending))
    except BaseException as error:
        return ending.fail(error)


def _called(reporter: Reporter, call: int, go: int) -> dict[str, Any]:
    """What this warm process is called for, once it is. Its environment is complete then."""
    reporter.report("warm")
    if not os.read(go, 1):
        raise Stopped
    os.close(go)
    with open(call, "rb") as file:
        told: dict[str, Any] = json.load(file)
    os.environ.update(told.pop("env"))
    _begin(reporter)
    return told


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
