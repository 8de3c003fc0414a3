"""Runs on this machine: each in a bubblewrap sandbox of its own that goes on when the server ends."""

import asyncio
import compileall
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from crewship.engine import cgroups, journal, protocol, sandboxes
from crewship.engine.cgroups import Cgroups
from crewship.engine.environments import LocalBuilder
from crewship.engine.executor import WARM, BuildOrder, Launch, LaunchFailed, WarmSandbox
from crewship.engine.journal import Bell, Holder
from crewship.engine.rebuilding import Rebuilding
from crewship.engine.sandboxes import LocalSandbox, Note
from crewship.engine.starting import Start
from crewship.engine.undoing import undone

RUNNER = Path(__file__).parent.parent / "runner"

_IMPORT = 120.0  # seconds that the import of a project may take while it gets warm
_BEGIN = 30.0  # seconds that a sandbox may take until its guard says its first word
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")

# Users that runs are where the server is root.
_FIRST_IDENTITY = 400_000
_IDENTITIES = 100_000


class _Child:
    """A process that this server started: reaped as soon as it ends, without anybody waiting for it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.holder = Holder(process.pid, os.pidfd_open(process.pid))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.holder.descriptor, self._reap)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def tell(self, data: bytes) -> None:
        """Write to its standard input, and end that. Blocks; raises OSError if it has ended."""
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(data)

    def _reap(self) -> None:
        self._process.poll()
        self._loop.remove_reader(self.holder.descriptor)

    def release(self) -> None:
        """Let it go its own way; one that waits for a run ends."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._loop.remove_reader(self.holder.descriptor)
        self.holder.close()
        if self._process.poll() is None:
            self._process.returncode = 0  # it is meant to outlive us: Popen must not complain that it does


class WarmFolder:
    """See WarmSandbox: a sandbox of this machine, in a folder that gets the run's name when it is called."""

    def __init__(self, sandbox: LocalSandbox, child: _Child) -> None:
        self.name = sandbox.run_id
        self.sandbox = sandbox
        self._child = child

    async def ended(self) -> None:
        """See WarmSandbox.ended."""
        await self._child.holder.ended()

    async def discard(self) -> None:
        """See WarmSandbox.discard."""
        await _end(self.sandbox)


class LocalExecutor:
    """See Executor. `data` is the server's folder, `server_id` its name among servers of this machine.

    After `open`: `warning` says if runs are not isolated here, `limits_by` what bounds their memory ("cgroup v1",
    "cgroup v2", or "guard": the first process of the sandbox, which looks several times a second).
    """

    def __init__(self, data: Path, builder: LocalBuilder, server_id: str) -> None:
        self.warning: str | None = None
        self.limits_by = "guard"
        self._runs = data / "runs"
        self._runners = data / "runner"
        self._builder = builder
        self._rebuilding = Rebuilding(builder, self._is_built)
        self._server_id = server_id
        self._as_root = os.geteuid() == 0
        self._groups: Cgroups | None = None
        self._runner = RUNNER
        self._identities: set[int] = set()
        self._children: dict[str, _Child] = {}

    async def open(self) -> None:
        """See Executor.open."""
        problem = await self._builder.problem()
        if problem is not None:
            self.warning = (
                f"bubblewrap does not work here ({problem}): runs are NOT isolated, "
                "their code has the rights of this server and sees what it sees"
            )
        await asyncio.to_thread(self._clean_up)
        for folder in await asyncio.to_thread(self._folders):
            if folder.name.startswith(WARM) and (left := await self.find(folder.name)) is not None:
                await _end(left)

    def _clean_up(self) -> None:
        self._runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._runner = _install(RUNNER, self._runners)
        self._groups = cgroups.find(self._server_id)
        self.limits_by = "guard" if self._groups is None else f"cgroup v{self._groups.version}"
        sandboxes.sweep(self._runs)
        for folder in self._folders():
            if sandboxes.began(folder):
                note = sandboxes.read_note(folder)
                self._identities.update({note.identity} if note and note.identity is not None else ())
            else:
                self._clear(folder)

    async def close(self) -> None:
        """See Executor.close."""
        while self._children:
            self._children.popitem()[1].release()
        if self._groups is not None:
            await asyncio.to_thread(self._groups.leave)

    async def prepare(self, launch: Launch) -> WarmFolder:
        """See Executor.prepare."""
        if self.warning is not None:
            raise LaunchFailed("nothing is kept warm where bubblewrap does not work: a folder could not be renamed")
        await self._rebuilding.ensure(launch.order)
        sandbox = await undone(self._started(launch, warm=True), _end)
        child = self._children[launch.run_id]
        try:
            await _heard(sandbox.folder, child, "warm", _IMPORT)
        except BaseException:
            await _end(sandbox)
            raise
        return WarmFolder(sandbox, child)

    async def launch(self, launch: Launch, warm: WarmSandbox | None = None) -> LocalSandbox:
        """See Executor.launch."""
        if isinstance(warm, WarmFolder):
            return await undone(self._call(launch, warm), _end)
        await self._rebuilding.ensure(launch.order)
        return await undone(self._started(launch), _end)

    async def _call(self, launch: Launch, warm: WarmFolder) -> LocalSandbox:
        """Make a warm sandbox this run's. The folder bears its name first, so that a next server finds it."""
        folder = self._runs / launch.run_id
        if not _NAME.fullmatch(launch.run_id) or await asyncio.to_thread(folder.exists):
            await warm.discard()
            raise LaunchFailed(f"run {launch.run_id} was started before")
        try:
            await asyncio.to_thread(warm.sandbox.folder.rename, folder)
            child = self._children[launch.run_id] = self._children.pop(warm.name)
            sandbox = LocalSandbox(folder, warm.sandbox.note, leader=child.holder, removed=self._forget)
            warm.sandbox = sandbox
            async with asyncio.timeout(_BEGIN):
                await asyncio.to_thread(child.tell, msgspec.json.encode(launch.call))
            await _heard(folder, child, "ready", _BEGIN)
        except (OSError, TimeoutError, LaunchFailed, KeyError) as failure:
            await warm.discard()
            raise LaunchFailed(f"the warm sandbox did not take the run: {failure}") from failure
        return sandbox

    async def _is_built(self, order: BuildOrder) -> bool:
        return await asyncio.to_thread(self._builder.find, order) is not None

    async def _started(self, launch: Launch, *, warm: bool = False) -> LocalSandbox:
        if not _NAME.fullmatch(launch.run_id):
            raise LaunchFailed(f"not a run's id: {launch.run_id!r}")
        built = await asyncio.to_thread(self._builder.find, launch.order)
        if built is None:
            raise LaunchFailed(f"version {launch.order.version_id} is not built on this server, or its Python is gone")
        folder = self._runs / launch.run_id
        try:
            await asyncio.to_thread(folder.mkdir, mode=0o700)
        except FileExistsError:
            raise LaunchFailed(f"run {launch.run_id} was started before") from None
        identity = self._take_identity()
        try:
            return await self._start(Start(folder, launch, built, self._runner), identity, warm=warm)
        except BaseException as failure:
            await asyncio.to_thread(self._clear, folder)
            self._release(launch.run_id, identity)
            if isinstance(failure, OSError | subprocess.SubprocessError):
                raise LaunchFailed(f"the sandbox did not start: {failure}") from failure
            raise

    async def _start(self, start: Start, identity: int | None, *, warm: bool) -> LocalSandbox:
        folder = start.folder
        with contextlib.closing(start):
            note = await asyncio.to_thread(self._furnish, start, identity, warm=warm)
            process = await asyncio.to_thread(start.spawn, note, self._builder.identities, warm=warm)
        child = self._children[folder.name] = _Child(process)
        try:
            if not warm:
                await _begun(folder, child)
        except BaseException:
            await LocalSandbox(folder, note, leader=child.holder, removed=self._forget).kill()
            raise
        return LocalSandbox(folder, note, leader=child.holder, removed=self._forget)

    def _furnish(self, start: Start, identity: int | None, *, warm: bool) -> Note:
        start.hold()
        groups = [] if self._groups is None else self._groups.create(start.folder.name, start.bounds())
        note = Note(
            identity=identity,
            groups=[str(group) for group in groups],
            confined=self.warning is None,
            warm=warm,
        )
        (start.folder / "note.json").write_bytes(msgspec.json.encode(note))
        start.furnish(identity, confined=note.confined)
        return note

    def _take_identity(self) -> int | None:
        """A user that no other run is; None where the server cannot become another user, or it would not help."""
        if not self._as_root or self.warning is not None:
            return None
        digest = hashlib.sha256(self._server_id.encode()).digest()  # so that two servers do not meet
        first = int.from_bytes(digest[:4])
        for number in range(_IDENTITIES):
            identity = _FIRST_IDENTITY + (first + number) % _IDENTITIES
            if identity not in self._identities:
                self._identities.add(identity)
                return identity
        raise LaunchFailed("too many runs at once")

    def _forget(self, sandbox: LocalSandbox) -> None:
        self._release(sandbox.run_id, sandbox.note.identity)

    def _release(self, run_id: str, identity: int | None) -> None:
        if child := self._children.pop(run_id, None):
            child.release()
        if identity is not None:
            self._identities.discard(identity)

    def _clear(self, folder: Path) -> None:
        """Remove a run's folder and cgroups, of a run that never began or has ended. Blocks."""
        note = sandboxes.read_note(folder)
        # One that died between the two has made the groups and not written of them.
        unwritten = self._groups.of(folder.name) if self._groups else []
        cgroups.remove({*map(Path, note.groups if note else ()), *unwritten})
        sandboxes.discard(folder)

    async def find(self, run_id: str) -> LocalSandbox | None:
        """See Executor.find."""
        folder = self._runs / run_id
        if not _NAME.fullmatch(run_id) or not await asyncio.to_thread(folder.is_dir):
            return None
        if not await asyncio.to_thread(sandboxes.began, folder):
            await asyncio.to_thread(self._clear, folder)
            return None
        note = await asyncio.to_thread(sandboxes.read_note, folder)
        if note is None:
            return None
        sandbox = LocalSandbox(folder, note, removed=self._forget)
        if note.warm and not run_id.startswith(WARM) and not await _was_called(sandbox):
            await _end(sandbox)
            return None
        return sandbox

    async def held(self) -> list[str]:
        """See Executor.held."""
        names = [folder.name for folder in await asyncio.to_thread(self._folders)]
        return [name for name in names if not name.startswith(WARM)]

    def _folders(self) -> list[Path]:
        return sorted(folder for folder in self._runs.iterdir() if _NAME.fullmatch(folder.name))


async def _end(sandbox: LocalSandbox) -> None:
    await sandbox.kill()
    await sandbox.remove()


async def _begun(folder: Path, child: _Child) -> None:
    """Return when the guard has said its first word. Raises LaunchFailed if it never will."""
    deadline = asyncio.get_running_loop().time() + _BEGIN
    with contextlib.closing(Bell(folder / "bell", child.holder)) as bell:
        while True:
            ended = child.ended
            if (folder / "journal").stat().st_size > 0:
                return
            if ended or asyncio.get_running_loop().time() > deadline:
                said = (folder / "errors").read_text(errors="replace").strip()[-500:]
                raise LaunchFailed("the sandbox did not start: " + (said or "its first process ended without a word"))
            await bell.wait()


async def _heard(folder: Path, child: _Child, word: str, seconds: float) -> None:
    """Return when the journal holds a line of that type. Raises LaunchFailed with the reason if it never will."""
    last = ""
    try:
        async with asyncio.timeout(seconds):
            async with contextlib.aclosing(journal.lines(folder, 0, child.holder)) as batches:
                async for batch in batches:
                    for message in (protocol.parse(line).message for line in batch):
                        if message.__struct_config__.tag == word:
                            return
                        if isinstance(message, protocol.Failure):
                            last = message.error
                        elif isinstance(message, protocol.Exit):
                            last = last or message.message or "its process ended"
    except TimeoutError:
        last = f"it took longer than {seconds:g} s"
    said = (folder / "errors").read_text(errors="replace").strip()[-500:]
    raise LaunchFailed(last or said or "its first process ended without a word")


async def _was_called(sandbox: LocalSandbox) -> bool:
    """Whether a sandbox that was warm has got its run: it has, or the end of its input ends it at once."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_BEGIN), contextlib.aclosing(sandbox.lines(0)) as batches:
            async for batch in batches:
                if any(isinstance(protocol.parse(line).message, protocol.Ready) for line in batch):
                    return True
    return False


def _install(source: Path, target: Path) -> Path:
    """A copy of the runner that stays as it is while runs use it, whatever becomes of the installed package. Blocks."""
    # The guard and the host of Python's frameworks lie at the top, as their own imports want it; that of Node's below.
    files = {file.relative_to(source / "python"): file.read_bytes() for file in sorted(_sources(source / "python"))}
    files |= {file.relative_to(source): file.read_bytes() for file in sorted(_sources(source / "node"))}
    digest = hashlib.sha256(repr(files).encode()).hexdigest()[:16]
    if not (target / digest).is_dir():
        fresh = target / f".{digest}-{secrets.token_hex(4)}"
        for name, content in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(content)
            (fresh / name).chmod(0o644)
        for folder in (fresh, *(found for found in fresh.rglob("*") if found.is_dir())):
            folder.chmod(0o755)
        compileall.compile_dir(fresh, quiet=2)  # nobody can later: it is mounted for reading alone
        with contextlib.suppress(OSError):  # another server was quicker
            fresh.rename(target / digest)
        shutil.rmtree(fresh, ignore_errors=True)
    return target / digest


def _sources(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
