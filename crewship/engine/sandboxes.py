"""A run's folder, and the sandbox that lives from it.

    app/                 the private, writable copy of the project; seen inside as /app
    tmp/                 seen inside as /tmp
    journal              what the guard says, line by line
    control, bell        FIFOs: what the server asks of the guard; "there is something to read"
    lock                 held while the sandbox lives (see journal.py)
    note.json            what it takes to end and remove it
    errors               what the steps before the guard said, and the guard's own failures

Server and sandbox share nothing but these files, so either may end before the other.
"""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from crewship.engine import cgroups, folders, journal
from crewship.engine.executor import ArtifactFile, Refused
from crewship.engine.journal import Holder

_PATIENCE = 5.0  # seconds that a dying sandbox gets before it is killed once more


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a sandbox beside its files: its user (None: the server's), its cgroups, whether it is one.

    `warm`: it was prepared without a run, so that its journal says `ready` only once it was called for one.
    """

    identity: int | None
    groups: list[str]
    confined: bool
    warm: bool = False


class LocalSandbox:
    """See Sandbox. `leader` is the process that this server started for it; None for one of an earlier server."""

    def __init__(
        self, folder: Path, note: Note, *, leader: Holder | None = None, removed: Callable[["LocalSandbox"], None]
    ) -> None:
        self.run_id = folder.name
        self.note = note
        self.folder = folder
        self._leader = leader
        self._removed = removed
        self._guard = Holder.of(folder / "lock")
        self._groups = [Path(group) for group in note.groups]

    async def lines(self, after: int) -> AsyncGenerator[Sequence[bytes], None]:
        """See Sandbox.lines."""
        async with contextlib.aclosing(journal.lines(self.folder, after, self._guard or self._leader)) as batches:
            async for batch in batches:
                yield [*batch[:-1], self._explained(batch[-1])]

    def _explained(self, line: bytes) -> bytes:
        """The line; if it is the exit line of what the kernel ended for its memory, with that reason in it.

        The guard sees that its child was killed, but not by whom.
        """
        if b'"exit"' not in line or not cgroups.ran_out_of_memory(self._groups):
            return line
        try:
            told: Any = msgspec.json.decode(line)
        except msgspec.MsgspecError:
            return line
        if not isinstance(told, dict) or told.get("type") != "exit" or told.get("reason") or told.get("code") == 0:
            return line
        return msgspec.json.encode({**told, "reason": "out_of_memory", "message": "the run used up its memory"})

    async def stop(self) -> None:
        """See Sandbox.stop."""
        self._ask(b"stop\n")

    def _ask(self, command: bytes) -> None:
        # Without a reader (it has ended) or with a full pipe (it has been asked often enough) there is nothing to do.
        with contextlib.suppress(OSError):
            control = os.open(self.folder / "control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(control, command)
            finally:
                os.close(control)

    async def kill(self) -> None:
        """See Sandbox.kill."""
        pause = 0.001
        while self._lives():
            guard = self._guard = self._guard or Holder.of(self.folder / "lock")
            if guard is not None:
                await self._end(guard)
            elif self._leader is not None:
                self._leader.kill()  # it has not come as far as the guard
            await asyncio.to_thread(cgroups.kill, self._groups)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.1)
        if self._leader is not None:
            await self._leader.ended()

    def _lives(self) -> bool:
        return journal.is_held(self.folder / "lock") or bool(cgroups.processes(self._groups))

    async def _end(self, guard: Holder) -> None:
        if not self.note.confined:
            # Nobody dies with it, so it is the guard that must do the killing; unless it does not answer.
            self._ask(b"kill\n")
            if await _within(_PATIENCE, guard.ended()):
                return
            for process in await asyncio.to_thread(_descendants, guard.process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        guard.kill()
        await guard.ended()

    async def artifacts(self) -> tuple[list[ArtifactFile], list[Refused]]:
        """See Sandbox.artifacts."""
        await self._settle()
        return await asyncio.to_thread(folders.collect, self.folder / "app" / folders.ARTIFACTS)

    async def _settle(self) -> None:
        """Wait until nothing of it lives: after its last line a sandbox takes a moment to fall apart."""
        if self._guard is not None:
            await _within(_PATIENCE, self._guard.ended())
        await self.kill()

    async def remove(self) -> None:
        """See Sandbox.remove."""
        await self.kill()
        await asyncio.to_thread(self._remove)
        self.close()
        self._leader = None  # whose owner lets go of it now
        self._removed(self)

    def _remove(self) -> None:
        cgroups.remove(self._groups)
        discard(self.folder)

    def close(self) -> None:
        """Let go of what this process holds; the sandbox goes on."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None


def discard(folder: Path) -> None:
    """Remove a run's folder; a crash on the way leaves it under a name that `sweep` knows. Blocks."""
    gone = folder.with_name(f".gone-{folder.name}-{secrets.token_hex(4)}")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(gone)
        folders.remove(gone)


def sweep(runs: Path) -> None:
    """Remove what was being removed when a server died. Blocks."""
    for folder in runs.glob(".gone-*"):
        folders.remove(folder)


def read_note(folder: Path) -> Note | None:
    """The note of a run's folder; None where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / "note.json").read_bytes(), type=Note)
    except (OSError, msgspec.MsgspecError):
        return None


def began(folder: Path) -> bool:
    """Whether the run's guard began, or something lives that will become it."""
    if journal.is_held(folder / "lock"):
        return True
    try:
        return (folder / "journal").stat().st_size > 0
    except FileNotFoundError:
        return False


async def _within(seconds: float, wait: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await wait
    except TimeoutError:
        return False
    return True


def _descendants(process: int) -> list[int]:
    """All processes below this one, as far as they have not been orphaned."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, look = [], [process]
    while look:
        below = children.get(look.pop(), [])
        found += below
        look += below
    return found
