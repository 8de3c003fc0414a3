"""Content-addressed files: snapshots, artifacts, values too large for an event.

A blob is written beside, synced, and renamed to the SHA-256 of its bytes before the append that names it; so an event
never names what is not there. What no event names is left by a crash and is harmless.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from domain.errors import TooLarge

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

    async def load(self, sha256: str) -> bytes:
        """The whole blob, for values that are known to be small enough."""
        return await asyncio.to_thread(self.path(sha256).read_bytes)

    async def put(self, data: bytes) -> Blob:
        """Store bytes that are in memory."""

        def write() -> Blob:
            with tempfile.NamedTemporaryFile(dir=self._incoming, delete=False) as file:
                file.write(data)
                return self._settle(file, hashlib.sha256(data).hexdigest(), len(data))

        return await asyncio.to_thread(write)

    async def put_file(self, path: Path) -> Blob:
        """Store a copy of a file. The path's last part is not followed if it is a link."""

        def write() -> Blob:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            incoming = tempfile.NamedTemporaryFile(dir=self._incoming, delete=False)  # noqa: SIM115 closed below
            with os.fdopen(descriptor, "rb") as source, incoming as file:
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
        file = tempfile.NamedTemporaryFile(dir=self._incoming, delete=False)  # noqa: SIM115 closed when settled
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise TooLarge(f"The upload is larger than {limit // 1024 // 1024} MiB")
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
            return await asyncio.to_thread(self._settle, file, digest.hexdigest(), size)
        except BaseException:
            await asyncio.to_thread(Path(file.name).unlink, missing_ok=True)
            raise
        finally:
            file.close()

    def _settle(self, file: "tempfile._TemporaryFileWrapper[bytes] | BinaryIO", sha256: str, size: int) -> Blob:
        file.flush()
        os.fsync(file.fileno())
        target = self.path(sha256)
        target.parent.mkdir(exist_ok=True)
        os.replace(file.name, target)
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return Blob(sha256, size)
