"""The server's folder: who it is, which life this is, and that it is alone there."""

import fcntl
import os
from pathlib import Path
from typing import Self

import msgspec

from crewship import ids
from domain.errors import Unavailable

MODE = 0o700


class Identity(msgspec.Struct, frozen=True):
    """A server's name among the servers of one log, and the count of its lives."""

    server_id: str
    epoch: int


class DataFolder:
    """A data folder in use by this process and by no other."""

    def __init__(self, path: Path, lock: int, identity: Identity) -> None:
        self.path = path
        self.identity = identity
        self._lock = lock

    @classmethod
    def claim(cls, path: Path) -> Self:
        """Make the folder if it is not there and take it; raises Unavailable if another server has it."""
        try:
            path.mkdir(parents=True, exist_ok=True, mode=MODE)
            lock = os.open(path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise Unavailable(f"The data folder {path} cannot be used: {fault.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise Unavailable(f"Another server (pid {holder}) uses the data folder {path}") from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return cls(path, lock, _next_life(path / "server.json"))

    def release(self) -> None:
        """Leave the folder to another."""
        os.close(self._lock)


def _next_life(path: Path) -> Identity:
    try:
        before = msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        before = Identity(ids.new("srv"), 0)
    now = Identity(before.server_id, before.epoch + 1)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(now))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return now
