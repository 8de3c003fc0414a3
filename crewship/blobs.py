"""Content-addressed files: snapshots, artifacts, values too large for an event.

A blob is written beside, synced, and renamed to the SHA-256 of its bytes before the append that names it; so an event
never names what is not there. What no event names is left by a crash and is harmless.
"""

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from domain.errors import TooLarge, Unavailable

CHUNK = 1024 * 1024


class Blob(msgspec.Struct, frozen=True):
    """A stored file."""

    sha256: str
    size: int


class BlobStore:
    """Blobs below one folder, 256 folders wide. Its writes happen in worker threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"

    def open(self) -> None:
        """Make the folders, and clear away what a crash left half written."""
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the blob lies, if there is one."""
        return self._folder / sha256[:2] / sha256

    async def stored_at(self, sha256: str) -> datetime | None:
        """When the blob was last put here, UTC; None if it is not there."""

        def look() -> datetime | None:
            try:
                return datetime.fromtimestamp(self.path(sha256).stat().st_mtime, UTC)
            except FileNotFoundError:
                return None

        return await asyncio.to_thread(look)

    async def remove(self, sha256: str) -> None:
        """Delete a blob for good, if it is there."""

        def unlink() -> None:
            path = self.path(sha256)
            with suppress(FileNotFoundError):
                path.unlink()
                _sync(path.parent)

        await asyncio.to_thread(unlink)

    async def load(self, sha256: str) -> bytes:
        """The whole blob, for values that are known to be small enough."""
        return await asyncio.to_thread(self.path(sha256).read_bytes)

    async def put(self, data: bytes) -> Blob:
        """Store bytes that are in memory."""

        def write() -> Blob:
            with self._incoming_file() as file:
                file.write(data)
                return self._settle(file, hashlib.sha256(data).hexdigest(), len(data))

        return await asyncio.to_thread(write)

    async def put_file(self, path: Path) -> Blob:
        """Store a copy of a file. The path's last part is not followed if it is a link."""

        def write() -> Blob:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as source, self._incoming_file() as file:
                digest, size = hashlib.sha256(), 0
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
                return self._settle(file, digest.hexdigest(), size)

        return await asyncio.to_thread(write)

    async def put_stream(self, chunks: AsyncIterator[bytes], limit: int) -> Blob:
        """Store what arrives, at most `limit` bytes; raises TooLarge and leaves nothing behind."""
        digest, size = hashlib.sha256(), 0
        with self._incoming_file() as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise TooLarge(f"The upload is larger than {limit // 1024 // 1024} MiB")
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
            return await asyncio.to_thread(self._settle, file, digest.hexdigest(), size)

    @contextmanager
    def _incoming_file(self) -> Iterator[BinaryIO]:
        """A file to be settled; if it is not, it is gone. A full disk is Unavailable, not a fault of ours."""
        path = self._incoming / secrets.token_hex(16)
        try:
            file = path.open("xb")
            try:
                yield file
            finally:
                # What was settled is on disk already; of what was not, nothing is wanted.
                with suppress(OSError):
                    file.close()
        except OSError as fault:
            if fault.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise Unavailable("The disk of the server is full") from fault
        finally:
            path.unlink(missing_ok=True)

    def _settle(self, file: BinaryIO, sha256: str, size: int) -> Blob:
        file.flush()
        os.fsync(file.fileno())
        target = self.path(sha256)
        if not target.parent.exists():
            target.parent.mkdir(exist_ok=True)
            _sync(self._folder)
        os.replace(file.name, target)
        _sync(target.parent)
        return Blob(sha256, size)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
