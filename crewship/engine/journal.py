"""A run's journal, as the server reads it: an append-only file, a bell that says "look", a lock that says "alive".

The lock file carries two locks. The server takes flock(2) on it before it starts the sandbox and hands the open file
down: that lock is free only when no process of the sandbox lives that could still write. The guard takes a POSIX lock
on it as well, which names its process.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import msgspec

# What is read at once: large enough for a flood, small enough for the event loop (about 0.1 ms from the page cache).
_ON_THE_LOOP = 256 * 1024
_IN_A_THREAD = 4 * 1024 * 1024
_LOOK_ANYWAY = 1.0  # seconds: a bell can be lost, with the process that should have rung it

# struct flock of Linux: type, whence, start, length, pid; native alignment.
_FLOCK = struct.Struct("hhqqi4x")


class _Line(msgspec.Struct):
    """What the reader needs to know of a line."""

    n: int
    type: str = ""


_line = msgspec.json.Decoder(_Line)


def is_held(lock: Path) -> bool:
    """Whether a process of the sandbox lives. False if there is no such file."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who ask do not disturb each other
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(lock: Path) -> int | None:
    """The guard's process id as this process sees it; None where no guard holds the lock (not yet, or no more)."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    finally:
        os.close(descriptor)
    return process if kind != fcntl.F_UNLCK and process > 0 else None


class Holder:
    """A process that is certainly the one meant: by a descriptor, not by a number that may come again."""

    def __init__(self, process: int, descriptor: int) -> None:
        self.process = process
        self.descriptor = descriptor

    @classmethod
    def of(cls, lock: Path) -> "Holder | None":
        """The guard that holds the lock. The descriptor is the caller's to close."""
        process = holder(lock)
        if process is None:
            return None
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            return None
        if holder(lock) == process:  # it held the lock before and after: the number was not given to another between
            return cls(process, descriptor)
        os.close(descriptor)
        return None

    def kill(self) -> None:
        """Send SIGKILL; nothing if it is gone."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until the process is dead. As first of its own process namespace it dies after all others in it."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        # A descriptor of its own: the loop keeps one reader a descriptor, and several may wait.
        watched = os.dup(self.descriptor)
        loop.add_reader(watched, done.set)
        try:
            await done.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.descriptor)


class Bell:
    """Wakes a reader: by a byte in the run's bell FIFO, by the holder's death, or at the latest after a second."""

    def __init__(self, fifo: Path, guard: Holder | None) -> None:
        self._rung = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._descriptors: list[int] = []
        with contextlib.suppress(FileNotFoundError):
            # For reading and writing: it never reads as ended while nobody has it open for writing.
            self._watch(os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), self._drain)
        if guard is not None:
            self._watch(os.dup(guard.descriptor), self._died)

    def _watch(self, descriptor: int, heard: Callable[[int], None]) -> None:
        self._descriptors.append(descriptor)
        self._loop.add_reader(descriptor, heard, descriptor)

    def _drain(self, descriptor: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(descriptor, 65_536)
        self._rung.set()

    def _died(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)  # it stays readable for ever
        self._rung.set()

    async def wait(self) -> None:
        """Return once rung since the last wait, or after a second."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_ANYWAY):
                await self._rung.wait()
        self._rung.clear()

    def close(self) -> None:
        """Let go of the descriptors."""
        while self._descriptors:
            descriptor = self._descriptors.pop()
            self._loop.remove_reader(descriptor)
            os.close(descriptor)


class Tail:
    """The complete lines of a growing file, as they come."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._at = 0
        self._pieces: list[bytes] = []  # the beginning of a line whose end is not written yet

    async def read(self) -> list[bytes]:
        """The next complete lines without their newlines; empty when the file holds no more complete ones for now."""
        while True:
            waiting = os.fstat(self._descriptor).st_size - self._at
            if waiting <= 0:
                return []
            if waiting <= _ON_THE_LOOP:
                data = os.pread(self._descriptor, waiting, self._at)
            else:
                data = await asyncio.to_thread(os.pread, self._descriptor, _IN_A_THREAD, self._at)
            self._at += len(data)
            if lines := self._split(data):
                return lines

    def _split(self, data: bytes) -> list[bytes]:
        *complete, rest = data.split(b"\n")
        if complete:
            complete[0] = b"".join([*self._pieces, complete[0]])
            self._pieces.clear()
        if rest:
            self._pieces.append(rest)
        return complete

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


async def lines(folder: Path, after: int, guard: Holder | None) -> AsyncGenerator[Sequence[bytes], None]:
    """The journal's lines with a number above `after`, from a run folder with `journal`, `bell` and `lock`.

    Ends after the exit line, or when the sandbox is dead and the file holds no more complete line.
    """
    bell = Bell(folder / "bell", guard)
    try:
        tail = Tail(folder / "journal")
        try:
            async for batch in _batches(tail, bell, folder / "lock"):
                wanted, ended = _above(after, batch)
                if wanted:
                    yield wanted
                if ended:
                    return
        finally:
            tail.close()
    finally:
        bell.close()


async def _batches(tail: Tail, bell: Bell, lock: Path) -> AsyncIterator[list[bytes]]:
    while True:
        alive = is_held(lock)  # asked before reading: what was written before it died is read afterwards
        if batch := await tail.read():
            yield batch
        elif alive:
            await bell.wait()
        else:
            return


def _above(after: int, batch: list[bytes]) -> tuple[list[bytes], bool]:
    """Those numbered above `after`, and whether the exit line is among the batch."""
    wanted: list[bytes] = []
    for number, kind, raw in _numbered(batch):
        if number is None or number > after:
            wanted.append(raw)
        if kind == "exit":
            return wanted, True
    return wanted, False


def _numbered(batch: list[bytes]) -> Iterator[tuple[int | None, str, bytes]]:
    for raw in batch:
        try:
            line = _line.decode(raw)
        except msgspec.MsgspecError:
            yield None, "", raw  # never from the guard; the reader of the protocol says what it is
        else:
            yield line.n, line.type, raw
