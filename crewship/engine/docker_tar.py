"""Files on their way into containers (as a tar in memory) and artifacts on their way out (a tar as it comes)."""

import io
import os
import tarfile
from pathlib import Path

_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


class Packed:
    """A tar that grows in memory. Folders are 0755, files 0644, or 0755 where their owner may execute them."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by bytes()

    def folder(self, name: str, owner: int = 0, mode: int = 0o755) -> None:
        """Add an empty folder."""
        member = _member(name, owner, mode)
        member.type = tarfile.DIRTYPE
        self._tar.addfile(member)

    def file(self, name: str, content: bytes, owner: int = 0, mode: int = 0o644) -> None:
        """Add a file."""
        member = _member(name, owner, mode)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def link(self, name: str, target: str, owner: int = 0) -> None:
        """Add a symbolic link."""
        member = _member(name, owner, 0o777)
        member.type, member.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(member)

    def tree(self, name: str, source: Path, owner: int = 0, leave_out: frozenset[str] = frozenset()) -> None:
        """Add a folder with all plain files and folders below `source`; `leave_out` are names at its top. Blocks."""
        self.folder(name, owner)
        for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
            if entry.name in leave_out:
                continue
            if entry.is_dir(follow_symlinks=False):
                self.tree(f"{name}/{entry.name}", Path(entry.path), owner)
            elif entry.is_file(follow_symlinks=False):
                mode = 0o755 if entry.stat().st_mode & 0o100 else 0o644
                self.file(f"{name}/{entry.name}", Path(entry.path).read_bytes(), owner, mode)

    def bytes(self) -> bytes:
        """The whole; nothing can be added after."""
        self._tar.close()
        return self._buffer.getvalue()


def _member(name: str, owner: int, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.uid = member.gid = owner
    member.mode = mode
    return member
