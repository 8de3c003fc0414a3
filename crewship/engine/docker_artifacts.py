"""Artifacts out of a container that has ended: a tar as the engine sends it, taken file by file within limits."""

import asyncio
import stat
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from crewship.engine import folders
from crewship.engine.docker_engine import Engine, EngineAway, EngineRefused
from crewship.engine.executor import ArtifactFile, Refused

_PIECE = 256 * 1024
_PATIENCE = 60.0  # seconds that the next piece may take
_UNREADABLE = (tarfile.TarError, EOFError, ValueError, ArithmeticError, LookupError)
_TYPES = {
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
}


async def collect(engine: Engine, container: str, folder: Path) -> tuple[list[ArtifactFile], list[Refused]]:
    """What lies in the container's artifacts folder, its files in the new folder `folder` under names of ours.

    See Sandbox.artifacts. Raises EngineAway.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, mode=0o700)
    path = {"path": f"/app/{folders.ARTIFACTS}"}
    try:
        async with engine.stream(f"containers/{container}/archive", path) as pieces:
            source = _Pulled(pieces, asyncio.get_running_loop())
            return await asyncio.to_thread(_Collection(folder).take, source)
    except EngineRefused as refused:
        if refused.status != 404:
            raise EngineAway(f"the engine gives no artifacts: {refused}") from refused
        return [], [_no_folder()]


class _Pulled:
    """What the engine sends, as a file for the thread that reads it; the loop fetches piece by piece."""

    def __init__(self, pieces: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._pieces, self._loop = pieces, loop
        self._held = b""

    def read(self, size: int) -> bytes:
        while len(self._held) < size:
            piece = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result(_PATIENCE)
            if not piece:
                break
            self._held += piece
        data, self._held = self._held[:size], self._held[size:]
        return data

    async def _next(self) -> bytes:
        return await anext(self._pieces, b"")


class _Collection:
    """Takes the plain files of a tar. Everything here blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, ArtifactFile] = {}
        self._refused: list[Refused] = []
        self._bytes = 0

    def take(self, source: _Pulled) -> tuple[list[ArtifactFile], list[Refused]]:
        try:
            with tarfile.open(fileobj=source, mode="r|", encoding="utf-8") as archive:  # type: ignore[call-overload]
                self._take_all(archive)
        except (*_UNREADABLE, OSError) as problem:
            self._refuse("…", f"the rest could not be read: {problem}")
        files = sorted(self._files.values(), key=lambda file: file.name)
        return files, folders.shortened(sorted(self._refused, key=lambda entry: entry.name))

    def _take_all(self, archive: tarfile.TarFile) -> None:
        for seen, member in enumerate(archive):
            archive.members = []  # type: ignore[attr-defined] # it keeps them all otherwise, a run can make millions
            first, _, name = member.name.partition("/")
            if not name:
                if first != folders.ARTIFACTS or not member.isdir():
                    self._refused.append(_no_folder())
                continue
            if seen > folders.MAXIMUM_ENTRIES:
                self._refuse("…", f"more than {folders.MAXIMUM_ENTRIES:,} entries, the rest is not looked at")
                return
            if member.isdir():
                continue
            if (why := self._why_not(name, member)) is not None:
                self._refuse(name, why)
                if member.isreg() and member.size > folders.MAXIMUM_BYTES:
                    self._refuse("…", "what comes after too large a file is not looked at")
                    return  # to skip it is to read it
                continue
            self._keep(name, member, archive.extractfile(member) if member.isreg() else None)

    def _why_not(self, name: str, member: tarfile.TarInfo) -> str | None:
        kind = stat.S_IFREG if member.isreg() or member.islnk() else _TYPES.get(member.type, 0)
        if (why := folders.objection(name, kind)) is not None:
            return why
        if any(part in ("", ".", "..") for part in name.split("/")):
            return "the name leads elsewhere"
        if member.islnk() and member.linkname.partition("/")[2] not in self._files:
            return "another name of a file that was not collected"
        if len(self._files) >= folders.MAXIMUM_FILES:
            return f"more than {folders.MAXIMUM_FILES:,} files"
        if self._bytes + member.size > folders.MAXIMUM_BYTES:
            return "more than 1 GiB of artifacts"
        return None

    def _keep(self, name: str, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        if content is None:
            other = self._files[member.linkname.partition("/")[2]]
            self._files[name] = ArtifactFile(name=name, size=other.size, path=other.path)
            return
        path = self._folder / str(len(self._files))
        with path.open("xb") as file:
            while piece := content.read(_PIECE):
                file.write(piece)
        if path.stat().st_size != member.size:
            raise EOFError("the engine broke off")
        self._bytes += member.size
        self._files[name] = ArtifactFile(name=name, size=member.size, path=path)

    def _refuse(self, name: str, why: str) -> None:
        self._refused.append(Refused(name=folders.readable(name), why=why))


def _no_folder() -> Refused:
    return Refused(name=folders.ARTIFACTS, why="the artifacts folder is not a folder any more")
