"""`python -m tests.crash.points serve …`: the server, killed at a point of its work that is named beforehand.

CREWSHIP_CRASH_AT is `append.before:3`: the third time that an append is about to be written. Without it, nothing is
killed. CREWSHIP_CRASH_COUNTS names a file to which the server's life appends, in the end, how often it passed each
point: that is how the points are enumerated. CREWSHIP_CRASH_SLOW makes each append take so many seconds longer.
"""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from threading import Lock
from typing import Any

from crewship.blobs import BlobStore
from crewship.engine.docker_engine import Engine
from crewship.eventlog.sqlite import SqliteRecorder
from crewship.secrets import SqliteKeyStore
from crewship.views.sqlite import SqliteViews

AT = "CREWSHIP_CRASH_AT"
COUNTS = "CREWSHIP_CRASH_COUNTS"
SLOW = "CREWSHIP_CRASH_SLOW"
KINDS = ("append", "view", "rename", "sync", "unlink", "spawn", "docker", "blob", "key")
POINTS = tuple(f"{kind}.{side}" for kind in KINDS for side in ("before", "after"))

passed: Counter[str] = Counter()
_lock = Lock()
_named, _, _number = os.environ.get(AT, "").partition(":")


def point(name: str) -> None:
    """This is passed now; and is the end, if it is the one."""
    if name == "append.before":
        time.sleep(float(os.environ.get(SLOW, 0)))
    with _lock:
        passed[name] += 1
        if name == _named and passed[name] == int(_number):
            os.kill(os.getpid(), signal.SIGKILL)


def around(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a point before it and one after it."""

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        point(f"{kind}.before")
        result = function(*given, **named)
        point(f"{kind}.after")
        return result

    return call


def around_async(kind: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The same for a coroutine."""

    @functools.wraps(function)
    async def call(*given: Any, **named: Any) -> Any:
        point(f"{kind}.before")
        result = await function(*given, **named)
        point(f"{kind}.after")
        return result

    return call


def _replace(owner: Any, name: str, kind: str, wrap: Callable[..., Any] = around) -> None:
    setattr(owner, name, wrap(kind, getattr(owner, name)))


def arm() -> None:
    """Put the points where they belong: at whatever changes what another life of the server will find."""
    _replace(SqliteRecorder, "write", "append")
    _replace(SqliteViews, "apply", "view", around_async)
    for name in ("replace", "rename"):
        _replace(os, name, "rename")
    _replace(os, "fsync", "sync")
    _replace(BlobStore, "remove", "blob", around_async)
    _replace(SqliteKeyStore, "delete", "key")
    for name in ("unlink", "rmdir"):
        _replace(os, name, "unlink")
    _replace(subprocess.Popen, "__init__", "spawn")
    _replace(Engine, "_ask", "docker", around_async)


def main() -> None:
    """Run the command line with its points armed."""
    from crewship.cli.main import main as crewship

    arm()
    try:
        crewship()
    finally:
        if path := os.environ.get(COUNTS):
            with open(path, "a") as file:
                file.write(json.dumps(passed) + "\n")


if __name__ == "__main__":
    sys.argv[0] = "crewship"
    main()
