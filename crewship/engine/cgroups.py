"""Control groups: memory, processes and CPU of a sandbox, bounded by the kernel where this server may ask for it.

Groups are made below the server's own, so that whatever bounds the server bounds its sandboxes too.
"""

import contextlib
import errno
import os
import secrets
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

_MOUNTS = Path("/proc/self/mountinfo")
_OWN = Path("/proc/self/cgroup")
_NEEDED = ("memory", "pids", "cpu")
_PERIOD = 100_000  # microseconds in which the quota of CPU time is counted


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a group may use: bytes, processes (threads count), processors (1.5 is one and a half). None is no bound."""

    memory: int | None = None
    processes: int | None = None
    cpus: float | None = None


class Cgroups:
    """Makes groups below one base a hierarchy: one for all controllers (v2), or one a controller (v1)."""

    def __init__(self, version: Literal[1, 2], bases: dict[str, Path]) -> None:
        self.version = version
        self._bases = bases

    def create(self, name: str, bounds: Bounds) -> list[Path]:
        """Make the group in every hierarchy and bound it, anew if a server that died left one of that name.

        Raises OSError, and then leaves nothing behind.
        """
        remove(self.of(name))
        made: list[Path] = []
        try:
            for group in self.of(name):
                group.mkdir()
                made.append(group)
            for controller, base in self._bases.items():
                self._bound(controller, base / name, bounds)
        except OSError:
            remove(made)
            raise
        return made

    def of(self, name: str) -> list[Path]:
        """Where the group of that name is, or would be."""
        return [base / name for base in dict.fromkeys(self._bases.values())]

    def leave(self) -> None:
        """Remove the bases, if no group is left below them."""
        for base in set(self._bases.values()):
            with contextlib.suppress(OSError):
                base.rmdir()

    def _bound(self, controller: str, group: Path, bounds: Bounds) -> None:
        first = self.version == 1
        match controller:
            case "memory" if bounds.memory is not None:
                (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(bounds.memory))
                # Swap would only make a run that is too large slow; not every kernel counts it.
                swap = ("memory.memsw.limit_in_bytes", bounds.memory) if first else ("memory.swap.max", 0)
                with contextlib.suppress(OSError):
                    _overwrite(group / swap[0], str(swap[1]))
            case "pids" if bounds.processes is not None:
                (group / "pids.max").write_text(str(bounds.processes))
            case "cpu" if bounds.cpus is not None:
                quota = max(1_000, round(bounds.cpus * _PERIOD))
                if first:
                    (group / "cpu.cfs_quota_us").write_text(str(quota))
                else:
                    (group / "cpu.max").write_text(f"{quota} {_PERIOD}")


def _overwrite(file: Path, text: str) -> None:
    with file.open("r+") as opened:  # never makes the file, where the kernel does not offer it
        opened.write(text)


def find(server_id: str, mounts: Path = _MOUNTS, own: Path = _OWN) -> Cgroups | None:
    """What this server can make groups with, tried by making one; None where it cannot. Blocks for a moment."""
    name = f"crewship-{server_id}"
    for candidate in (
        _first(name, mounts.read_text(), own.read_text()),
        _second(name, mounts.read_text(), own.read_text()),
    ):
        if candidate is not None and _works(candidate):
            return candidate
    return None


def _works(groups: Cgroups) -> bool:
    bounds = Bounds(memory=64 * 1024 * 1024, processes=16, cpus=0.5)
    try:
        made = groups.create(f"probe-{secrets.token_hex(4)}", bounds)
    except OSError:
        return False
    remove(made)
    return True


def _first(name: str, mounts: str, own: str) -> Cgroups | None:
    """Version 1: each controller has a mount and a place of its own."""
    bases: dict[str, Path] = {}
    places = {controller: place for _, controllers, place in _memberships(own) for controller in controllers.split(",")}
    for root, point, kind, options in _mounted(mounts):
        for controller in set(_NEEDED) & set(options) if kind == "cgroup" else ():
            bases[controller] = _below(point, root, places.get(controller, "/")) / name
    return Cgroups(1, bases) if set(bases) == set(_NEEDED) and _made(bases.values()) else None


def _second(name: str, mounts: str, own: str) -> Cgroups | None:
    """Version 2: one place for all; a group that hands out controllers may hold no processes itself."""
    place = next((place for number, _, place in _memberships(own) if number == "0"), None)
    mount = next(((root, point) for root, point, kind, _ in _mounted(mounts) if kind == "cgroup2"), None)
    if place is None or mount is None:
        return None
    here = _below(mount[1], mount[0], place)
    if here.name == "server" and (here.parent / name).is_dir():
        here = here.parent  # an earlier life of this server moved itself there
    try:
        if not set(_NEEDED) <= set((here / "cgroup.controllers").read_text().split()):
            return None
        _step_aside(here)
        if not _made([here / name]):
            return None
        for group in (here, here / name):
            (group / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in _NEEDED))
    except OSError:
        return None
    return Cgroups(2, dict.fromkeys(_NEEDED, here / name))


def _step_aside(here: Path) -> None:
    """Move this process into a group below, if it is all that keeps its own group from handing out controllers."""
    if (here / "cgroup.procs").read_text().split() == [str(os.getpid())]:
        (here / "server").mkdir(exist_ok=True)
        (here / "server" / "cgroup.procs").write_text(str(os.getpid()))


def _made(bases: Iterable[Path]) -> bool:
    try:
        for base in bases:
            base.mkdir(exist_ok=True)
    except OSError:
        return False
    return True


def _memberships(own: str) -> list[tuple[str, str, str]]:
    """Of each line `number:controllers:/place`."""
    return [(parts[0], parts[1], parts[2]) for line in own.splitlines() if len(parts := line.split(":", 2)) == 3]


def _mounted(mounts: str) -> list[tuple[str, Path, str, list[str]]]:
    """Of each mount: what part of the file system it shows, where, its kind, the options of the file system."""
    found = []
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) >= 5 and len(kind) >= 3:
            found.append((fields[3], Path(fields[4]), kind[0], kind[2].split(",")))
    return found


def _below(point: Path, root: str, place: str) -> Path:
    """Where the group `place` is found below a mount that shows the hierarchy from `root` on."""
    inside = place.removeprefix(root.rstrip("/")) if place.startswith(root.rstrip("/")) else "/"
    return point / inside.lstrip("/")


def ran_out_of_memory(groups: Sequence[Path]) -> bool:
    """Whether the kernel killed something in the group because its memory was used up."""
    for group in groups:
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                counts = dict(line.split(maxsplit=1) for line in (group / name).read_text().splitlines() if " " in line)
                if int(counts.get("oom_kill", 0)) > 0:
                    return True
    return False


def processes(groups: Sequence[Path]) -> set[int]:
    """Who lives in the groups, of any depth."""
    found: set[int] = set()
    for group in groups:
        for listing in group.glob("**/cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(int(number) for number in listing.read_text().split())
    return found - {0}  # 0 stands for one that this process cannot see


def kill(groups: Sequence[Path]) -> None:
    """Send SIGKILL to everything in the groups."""
    for group in groups:
        with contextlib.suppress(OSError):
            _overwrite(group / "cgroup.kill", "1")
    for process in processes(groups):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


def remove(groups: Iterable[Path]) -> None:
    """Remove the groups; what still lives in them is killed. Blocks while it dies, at most some seconds."""
    for group in groups:
        deadline = time.monotonic() + 5
        while group.is_dir():
            try:
                group.rmdir()
            except OSError as failure:
                if failure.errno != errno.EBUSY or time.monotonic() > deadline:
                    break
                kill([group])
                time.sleep(0.01)
