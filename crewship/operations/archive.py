"""An installation in one file: a tar whose last member holds the SHA-256 of all others, so that none is missed.

In this order, each read as it comes: `manifest.json`; `installation.key` and `server.json`; `keys/…`, pieces of rows in
msgpack; `blobs/…` by their own hashes; `log/…`, pieces of rows; `SHA256SUMS`.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, Self

from domain.errors import BadRequest

SUMS = "SHA256SUMS"
LARGEST_PIECE = 512 * 1024 * 1024
CHUNK = 1024 * 1024
MODE = 0o600


class Member(NamedTuple):
    """A member while it is the one to be read."""

    name: str
    size: int
    file: IO[bytes]

    def whole(self) -> bytes:
        """Its bytes; raises BadRequest if no such archive has members so large."""
        if self.size > LARGEST_PIECE:
            raise BadRequest(f"{self.name} in the archive is too large to be one of ours")
        return self.file.read()


class Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(size)
        self.digest.update(data)
        return data


class Writer:
    """Writes an archive beside its name, and gives it its name once it is whole and on disk. For its owner alone."""

    def __init__(self, path: Path) -> None:
        """Raises FileExistsError rather than write over anything."""
        if path.exists():
            raise BadRequest(f"{path} is there already; name another file")
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._sums: list[str] = []

    def __enter__(self) -> Self:
        self._part.unlink(missing_ok=True)
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        self._file = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w|", format=tarfile.PAX_FORMAT)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self.add(SUMS, "".join(self._sums).encode())
            self._tar.close()
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        if error is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def add(self, name: str, data: bytes) -> None:
        """A member of bytes in memory."""
        self.add_file(name, io.BytesIO(data), len(data))

    def add_file(self, name: str, file: IO[bytes], size: int) -> None:
        """A member of the next `size` bytes of a file."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, MODE
        hashed = Hashed(file)
        self._tar.addfile(info, hashed)
        self._sums.append(f"{hashed.digest.hexdigest()}  {name}\n")


def members(path: Path) -> Iterator[Member]:
    """All members but the sums, in order; each is to be read before the next. Raises BadRequest."""
    try:
        with tarfile.open(path, mode="r|") as tar:
            for info in tar:
                file = tar.extractfile(info) if info.isreg() else None
                if file is None:
                    raise BadRequest(f"{path} holds {info.name[:80]!r}, which none of our archives does")
                if info.name != SUMS:
                    yield Member(info.name, info.size, file)
    except (tarfile.TarError, EOFError) as fault:
        raise BadRequest(f"{path} is not a whole archive of Crewship: {fault}") from None


def check(path: Path) -> None:
    """Read the whole archive once; raises BadRequest, with the member's name, if it is not as it was written."""
    sums: list[str] = []
    told: bytes | None = None
    try:
        with tarfile.open(path, mode="r|") as tar:
            for info in tar:
                file = tar.extractfile(info)
                if file is None or told is not None:
                    raise BadRequest(f"{path}: {info.name[:80]} is not in its place")
                if info.name == SUMS:
                    told = file.read()
                    continue
                hashed = Hashed(file)
                while hashed.read(CHUNK):
                    pass
                sums.append(f"{hashed.digest.hexdigest()}  {info.name}")
    except (tarfile.TarError, EOFError) as fault:
        raise BadRequest(f"{path} is not a whole archive of Crewship: {fault}") from None
    if told is None:
        raise BadRequest(f"{path} is not a whole archive of Crewship: its end is missing")
    for is_now, was in zip(sums, told.decode(errors="replace").splitlines(), strict=False):
        if is_now != was:
            raise BadRequest(f"{path} was changed: {is_now.partition('  ')[2][:80]} is not as it was written")
    if "".join(f"{line}\n" for line in sums).encode() != told:
        raise BadRequest(f"{path} was changed: members are missing or were put in")
