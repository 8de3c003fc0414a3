"""The steps from an empty run folder to a process that will be the run's guard. They block; a thread does them."""

import fcntl
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from crewship.engine import bubblewrap, folders
from crewship.engine.bubblewrap import Jail, Mount
from crewship.engine.cgroups import Bounds
from crewship.engine.executor import Launch
from crewship.engine.programs import Program
from crewship.engine.sandboxes import Note

# What a group may use beyond the run's own limits: the guard and bubblewrap live in it too, and at a limit that is
# passed slowly it is the guard that is to see it, because it can say more about it than the kernel.
_SPARE_MEMORY = 64 * 1024 * 1024
_SPARE_PROCESSES = 8


class Start:
    """One start. `hold` first; `close` gives back this process's descriptors, in the end and whatever happens."""

    def __init__(self, folder: Path, launch: Launch, built: Program, runner: Path) -> None:
        self.folder = folder
        self._launch, self._built, self._runner = launch, built, runner
        self._descriptors: dict[str, int] = {}

    def hold(self) -> None:
        """Take the lock that says that this run is being started, and passes on to whatever is started."""
        lock = self._open("lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX)

    def bounds(self) -> Bounds:
        """What the kernel is to hold the sandbox to."""
        limits: dict[str, Any] = self._launch.spec.get("limits") or {}
        memory, processes = limits.get("memory"), limits.get("processes")
        return Bounds(
            memory=None if memory is None else int(memory) + _SPARE_MEMORY,
            processes=None if processes is None else int(processes) + _SPARE_PROCESSES,
            cpus=limits.get("cpus"),
        )

    def furnish(self, identity: int | None, *, confined: bool) -> None:
        """Fill the folder: the project's copy with an empty artifacts folder, and what guard and server share."""
        app, tmp = self.folder / "app", self.folder / "tmp"
        folders.copy(self._built.project, app, identity, leave_out=self._built.leave_out | {folders.ARTIFACTS})
        self._built.furnish(app, identity, confined=confined)
        for made in (app / folders.ARTIFACTS, tmp):
            made.mkdir(mode=0o755)
            if identity is not None:
                os.chown(made, identity, identity)
        for name in ("control", "bell"):
            os.mkfifo(self.folder / name, 0o600)
            # Open for both, so that neither side is ever at an end because the other is away.
            self._open(name, os.O_RDWR | os.O_NONBLOCK)
        self._open("journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._open("errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def _open(self, name: str, flags: int) -> int:
        descriptor = self._descriptors[name] = os.open(self.folder / name, flags | os.O_CLOEXEC, 0o600)
        return descriptor

    def spawn(self, note: Note, identities: Path, *, warm: bool = False) -> "subprocess.Popen[bytes]":
        """Start the process. It has read nothing yet that could be lost: its spec lies in memory until it is read.

        A `warm` one gets what it has to prepare through a pipe, which stays open for the call.
        """
        passed = {name: self._descriptors[name] for name in ("journal", "control", "bell", "lock")}
        told = msgspec.json.encode(self._spec(note))
        if warm:
            process = self._process(note, identities, passed, subprocess.PIPE, ["--warm"])
            assert process.stdin is not None
            process.stdin.write(told + b"\n")
            process.stdin.flush()
            return process
        spec = self._descriptors["spec"] = os.memfd_create("spec", os.MFD_CLOEXEC)
        with os.fdopen(os.dup(spec), "wb") as file:
            file.write(told)
        os.lseek(spec, 0, os.SEEK_SET)
        return self._process(note, identities, passed, spec, [])

    def _process(
        self, note: Note, identities: Path, passed: dict[str, int], spec: int, more: list[str]
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603 - the programs are ours
            self._command(note, identities, passed, more),
            env=bubblewrap.environment(),
            cwd="/",
            stdin=spec,
            stdout=self._descriptors["errors"],
            stderr=self._descriptors["errors"],
            pass_fds=tuple(passed.values()),
            start_new_session=True,  # what ends the server's terminal or group does not end the run
        )

    def _command(self, note: Note, identities: Path, passed: dict[str, int], more: list[str]) -> list[str]:
        runner = "/runner" if note.confined else str(self._runner)
        program = [self._built.guard(confined=note.confined), "-I", "-S", f"{runner}/guard.py"]
        for name, descriptor in passed.items():
            program += [f"--{name}", str(descriptor)]
        program += more
        program += ["--", *self._built.command(runner, confined=note.confined)]
        groups = tuple(Path(group) for group in note.groups)
        if not note.confined:
            return bubblewrap.enter_groups(groups, program)
        jail = Jail(
            mounts=self._mounts(),
            directory="/app",
            identities=identities,
            network=self._launch.network != "none",
            identity=note.identity,
            groups=groups,
        )
        return bubblewrap.command(jail, program)

    def _mounts(self) -> tuple[Mount, ...]:
        return (
            Mount(self.folder / "app", "/app", writable=True),
            Mount(self.folder / "tmp", "/tmp", writable=True),  # noqa: S108 - a place inside
            Mount(self._runner, "/runner"),
            *self._built.mounts(),
        )

    def _spec(self, note: Note) -> dict[str, Any]:
        """The spec with what only this executor knows: where things are, and the environment that goes with that."""
        confined = note.confined
        limits = self._launch.spec.get("limits") or {}
        if note.groups:
            limits = {**limits, "cpus": None}  # a quota holds it; kept to one processor as well, it would meet others
        app, tmp = ("/app", "/tmp") if confined else (str(self.folder / "app"), str(self.folder / "tmp"))  # noqa: S108
        environment = {"HOME": tmp, "TMPDIR": tmp, "LANG": "C.UTF-8", **self._built.environment(confined=confined)}
        return {
            **self._launch.spec,
            "env": environment | self._launch.spec.get("env", {}),
            "limits": limits,
            "app": app,
            "site": self._built.sites(confined=confined),
            "watch": [app, tmp],
        }

    def close(self) -> None:
        """Close this process's descriptors."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])
