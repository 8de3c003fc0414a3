"""Looks an installation over: what a server on this machine needs, and whether it has it. Changes nothing."""

import asyncio
import os
import platform
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec

from crewship import clock
from crewship.config import Settings
from crewship.engine.docker_engine import Engine, EngineProblem
from crewship.engine.environments import LocalBuilder
from crewship.eventlog import Query, UnknownEvent, browse, stored_log
from domain.errors import DomainError

NO_ROOM_BYTES = 16 * 1024 * 1024
LITTLE_ROOM_BYTES = 1024 * 1024 * 1024
CLOCK_MAY_LAG = timedelta(seconds=5)
SECONDS = 10.0

State = Literal["ok", "warning", "problem"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found; `advice` says what to do about it, where there is something to do."""

    check: str
    state: State
    found: str
    advice: str | None = None


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check=check, state="ok", found=found)


def warning(check: str, found: str, advice: str) -> Finding:
    """It works, but not as well as it could."""
    return Finding(check=check, state="warning", found=found, advice=advice)


def problem(check: str, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check=check, state="problem", found=found, advice=advice)


def examine(settings: Settings) -> Iterator[Finding]:
    """Every look at this machine, one after the other; a look that breaks down is a problem itself."""
    looks: tuple[tuple[str, Callable[[Settings], Finding]], ...] = (
        ("versions", _versions),
        ("data folder", _folder),
        ("disk", _disk),
        ("key file", _key_file),
        ("log", _log),
        ("sandbox", _sandbox),
        ("docker", _docker),
    )
    for name, look in looks:
        if name == "docker" and settings.executor == "local":
            continue
        try:
            yield look(settings)
        except Exception as fault:  # whatever it is, the other looks are worth taking
            yield problem(name, str(fault) or type(fault).__name__, "look into what this machine says of it")


def _versions(_: Settings) -> Finding:
    found = f"Crewship {version('crewship')}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    if sys.platform != "linux":
        return problem("versions", f"{found}, {sys.platform}", "run the server on Linux")
    return ok("versions", found)


def _folder(settings: Settings) -> Finding:
    data = settings.data
    if not data.exists():
        return warning("data folder", f"{data} is not there", "name it with --data; a first `crewship serve` makes it")
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        return problem("data folder", f"{data} cannot be read and written", f"run this as the owner of {data}")
    if stat.S_IMODE(data.stat().st_mode) & 0o077:
        return warning("data folder", f"others may look into {data}", f"chmod 700 {data}")
    return ok("data folder", str(data))


def _disk(settings: Settings) -> Finding:
    place = next(path for path in (settings.data, *settings.data.parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 1024**3:.1f} GiB free at {place}"
    if free < NO_ROOM_BYTES:
        return problem("disk", found, "make room: the server takes no work")
    if free < LITTLE_ROOM_BYTES:
        return warning("disk", found, "make room: environments and artifacts need it")
    return ok("disk", found)


def _key_file(settings: Settings) -> Finding:
    file = settings.data / "installation.key"
    if file.exists():
        return ok("key file", str(file))
    if settings.postgres is None and not (settings.data / "log.db").exists():
        return ok("key file", "none yet: a first start makes it")
    return problem("key file", f"{file} is gone", "restore it from a backup: without it nothing sealed can be read")


def _log(settings: Settings) -> Finding:
    if settings.postgres is None and not (settings.data / "log.db").exists():
        return ok("log", "none yet: a first start makes it")
    where = "PostgreSQL" if settings.postgres else str(settings.data / "log.db")
    try:
        with stored_log(settings.data, settings.postgres) as recorder:
            head = recorder.max_notification_id() or 0
            newest = browse(recorder, head - 1, 1, Query()).events if head else []
    except UnknownEvent as unknown:
        return problem("log", str(unknown), "use the Crewship that wrote it, or a newer one")
    except DomainError as refusal:
        return problem("log", refusal.message, "start the database, mend the URL, or restore the log from a backup")
    ahead = newest[-1].at - clock.now() if newest else timedelta()
    if ahead > CLOCK_MAY_LAG:
        found = f"the newest event is {ahead.total_seconds():.0f} s in the future"
        return problem("log", found, "this machine's clock is behind: set it (timedatectl set-ntp true)")
    return ok("log", f"{where}, up to position {head}")


def _sandbox(_: Settings) -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        why = asyncio.run(LocalBuilder(Path(folder) / "data").problem())
    if why is None:
        return ok("sandbox", "bubblewrap makes sandboxes here")
    advice = "install bubblewrap and allow user namespaces; without it builds and local runs are NOT isolated"
    return problem("sandbox", why, advice)


def _docker(settings: Settings) -> Finding:
    try:
        said, local = asyncio.run(_engine(settings))
    except (EngineProblem, TimeoutError) as why:
        if settings.executor == "docker":
            return problem("docker", str(why) or "no answer", "start the engine, or name its socket in DOCKER_HOST")
        return ok("docker", "no engine answers: runs are sandboxed locally")
    if not local:
        return problem("docker", f"{said}, but on another machine", "use an engine on this machine")
    if os.geteuid() != 0 or shutil.which("iptables") is None:
        advice = "run the server as root with iptables installed: else runs may reach this machine's network"
        return warning("docker", said, advice)
    return ok("docker", said)


async def _engine(settings: Settings) -> tuple[str, bool]:
    engine = Engine(settings.docker_host)
    try:
        async with asyncio.timeout(SECONDS):
            info = await engine.open()
        return f"engine {info.get('ServerVersion')}", engine.local_socket
    finally:
        await engine.close()
