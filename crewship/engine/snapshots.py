"""Snapshots: the gzipped tar of a project, checked before anything of it touches the disk, then unpacked.

Everything here blocks; callers use a thread.
"""

import gzip
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Literal, Self

import msgspec

from domain.errors import BadRequest, TooLarge

MAXIMUM_ENTRIES = 20_000
MAXIMUM_BYTES = 512 * 1024 * 1024
MAXIMUM_NAME = 1_024  # bytes of a whole name
MAXIMUM_PART = 255  # bytes between two slashes: what file systems take
MAXIMUM_MANIFEST = 256 * 1024
MANIFEST = "crewship.toml"

# A header that describes the next one (its long name, its attributes) is read into memory as a whole.
_MAXIMUM_EXTENSION = 64 * 1024
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
# What tarfile and gzip raise on bytes that only look like an archive; ValueError and its kin come from odd numbers.
_UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, ArithmeticError, LookupError)


_Kind = Literal["file", "folder", "implied"]  # implied: no entry of its own, but something lies below it


class SnapshotInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a checked snapshot holds: how many files, their bytes in all, the text of its manifest if it has one."""

    files: int
    bytes: int
    manifest: str | None


class _Header(tarfile.TarInfo):
    """A header that is refused before tarfile reads what it announces."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _EXTENSIONS and header.size > _MAXIMUM_EXTENSION):
            raise BadRequest(f"snapshot: the entry {_shown(header.name)} has a header of impossible size")
        return header


class _Limited:
    """The unpacked bytes of a gzip file, up to a limit, so that a bomb is left after its first half gigabyte."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source = source
        self._left = MAXIMUM_BYTES + 4 * tarfile.BLOCKSIZE * MAXIMUM_ENTRIES

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _too_many_bytes()
        return data


def check(path: Path) -> SnapshotInfo:
    """Read a snapshot through without unpacking it to disk.

    Holds afterwards: only plain files and folders; relative names without `..`, control characters or duplicates;
    within the limits above. Raises BadRequest or TooLarge, naming the entry.
    """
    files = size = 0
    manifest = None
    with gzip.open(path, "rb") as packed:
        for name, member, content in _entries(packed):
            if content is None:
                continue
            files += 1
            size += member.size
            if name == MANIFEST:
                manifest = _manifest(member, content)
    if files == 0:
        raise BadRequest("snapshot: it holds no files")
    return SnapshotInfo(files=files, bytes=size, manifest=manifest)


def unpack(path: Path, target: Path) -> None:
    """Unpack a snapshot into the folder `target`, which appears whole or not at all; one that is there already stays.

    Files are 0644, or 0755 where their owner may execute them; folders are 0755.
    """
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.parent / f".{target.name}.{secrets.token_hex(8)}"
    try:
        fresh.mkdir()
        fresh.chmod(0o755)
        with gzip.open(path, "rb") as packed:
            for name, member, content in _entries(packed):
                _write(fresh, name, member, content)
        _appear(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _appear(fresh: Path, target: Path) -> None:
    try:
        fresh.rename(target)
    except OSError:
        if not target.is_dir():  # else somebody was quicker, with the same content
            raise


def _write(root: Path, name: str, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
    # The names have been checked and the folder is new and ours, without links: nothing can lead out of it.
    place = root
    for part in PurePosixPath(name).parts[: None if content is None else -1]:
        place = place / part
        if not place.is_dir():
            place.mkdir()
            place.chmod(0o755)
    if content is not None:
        place = root / name
        with place.open("xb") as file:
            for piece in _pieces(content):
                file.write(piece)
        place.chmod(0o755 if member.mode & 0o100 else 0o644)


def _entries(packed: gzip.GzipFile) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes] | None]]:
    """Each entry with its cleaned name and, for a file, its content, to be read before the next is asked for."""
    kinds: dict[str, _Kind] = {}
    size = 0
    for member, content in _members(packed):
        name = _checked(member)
        if not name:
            continue  # the project's own folder
        _place(name, "folder" if content is None else "file", kinds)
        size += member.size if content is not None else 0
        if size > MAXIMUM_BYTES:
            raise _too_many_bytes()
        yield name, member, content


def _members(packed: gzip.GzipFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    try:
        with tarfile.open(fileobj=_Limited(packed), mode="r|", tarinfo=_Header, encoding="utf-8") as archive:  # type: ignore[call-overload]
            for member in archive:
                # Sparse files and hard links count as files for tarfile, not here.
                plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
                if not plain and not member.isdir():
                    raise BadRequest(f"snapshot: the entry {_shown(member.name)} is {_kind(member)}; {_ONLY}")
                yield member, archive.extractfile(member) if plain else None
    except _UNREADABLE as problem:
        raise _unreadable(problem) from problem


_ONLY = "only plain files and folders can be deployed"


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link"
    if member.isdev():
        return "a FIFO" if member.isfifo() else "a device"
    return "not a plain file"


def _checked(member: tarfile.TarInfo) -> str:
    """The entry's name without `./` and doubled slashes, empty for the archive's own folder; harmful ones refused."""
    name = member.name
    where = f"snapshot: the name {_shown(name)}"
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise BadRequest(f"{where} is not UTF-8") from None
    path = PurePosixPath(name)
    if path.is_absolute():
        raise BadRequest(f"{where} is absolute")
    if ".." in path.parts:
        raise BadRequest(f"{where} leads upwards")
    if any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in name):
        raise BadRequest(f"{where} holds control characters")
    if length > MAXIMUM_NAME or any(len(part.encode()) > MAXIMUM_PART for part in path.parts):
        raise BadRequest(f"{where} is too long (over {MAXIMUM_NAME:,} bytes, or {MAXIMUM_PART} in one part)")
    cleaned = str(path)
    if cleaned == "." and not member.isdir():
        raise BadRequest(f"{where} is no name for a file")
    return "" if cleaned == "." else cleaned


def _place(name: str, kind: _Kind, kinds: dict[str, _Kind]) -> None:
    """Note the entry and the folders above it; refuse what could not lie side by side in a folder."""
    known = kinds.get(name)
    if known is not None and (known, kind) != ("implied", "folder"):
        raise BadRequest(f"snapshot: the entry {_shown(name)} is there twice")
    kinds[name] = kind
    for parent in list(PurePosixPath(name).parents)[:-1]:
        if kinds.setdefault(str(parent), "implied") == "file":
            raise BadRequest(f"snapshot: the entry {_shown(name)} lies below the file {_shown(str(parent))}")
    if len(kinds) > MAXIMUM_ENTRIES:
        raise TooLarge(f"snapshot: more than {MAXIMUM_ENTRIES:,} files and folders")


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    try:
        while piece := content.read(256 * 1024):
            yield piece
    except _UNREADABLE as problem:
        raise _unreadable(problem) from problem


def _manifest(member: tarfile.TarInfo, content: IO[bytes]) -> str:
    if member.size > MAXIMUM_MANIFEST:
        raise TooLarge(f"{MANIFEST}: larger than {MAXIMUM_MANIFEST // 1024} KiB")
    try:
        return b"".join(_pieces(content)).decode()
    except UnicodeDecodeError:
        raise BadRequest(f"{MANIFEST}: not UTF-8") from None


def _shown(name: str) -> str:
    """The name for a message: quoted, escaped, and short."""
    return ascii(name if len(name) <= 80 else name[:77] + "...")


def _unreadable(problem: Exception) -> BadRequest:
    return BadRequest(f"snapshot: not a readable gzipped tar ({problem})")


def _too_many_bytes() -> TooLarge:
    return TooLarge(f"snapshot: more than {MAXIMUM_BYTES // 1024 // 1024} MiB unpacked")
