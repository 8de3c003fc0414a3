"""Folders that code of others wrote into: copying, opening, collecting from and removing them, whatever it left there.

Everything here blocks, and expects that nothing writes there meanwhile.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from crewship.engine.executor import ArtifactFile, Refused

ARTIFACTS = "artifacts"
MAXIMUM_FILES = 1_000
MAXIMUM_BYTES = 1024 * 1024 * 1024
MAXIMUM_ENTRIES = 50_000  # looked at; a run can make millions
_MAXIMUM_REFUSED = 100
_MAXIMUM_NAME = 1_024  # bytes of a whole name
_MAXIMUM_PART = 255


def copy(source: Path, target: Path, owner: int | None, leave_out: frozenset[str] = frozenset()) -> None:
    """Copy a folder of plain files and folders to the new folder `target`, for `owner` (user and group id) if given.

    `leave_out` are names at the top. Nothing is shared with the source: whoever writes to the copy changes it alone.
    """
    target.mkdir()
    for entry in os.scandir(source):
        if entry.name in leave_out:
            continue
        place = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            copy(Path(entry.path), place, owner)
        elif entry.is_file(follow_symlinks=False):
            shutil.copyfile(entry.path, place)
            place.chmod(0o755 if entry.stat().st_mode & 0o100 else 0o644)
            _give(place, owner)
    target.chmod(0o755)
    _give(target, owner)


def _give(path: Path, owner: int | None) -> None:
    if owner is not None:
        os.chown(path, owner, owner)


def appear(ready: Path, target: Path) -> None:
    """Let a finished folder appear as `target`; one that is there already, because somebody was quicker, stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        ready.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def open_to_all(folder: Path) -> None:
    """Let everybody read what is in the folder (a build may have been strict), and nobody but its owner write."""
    for path, found in _walk(folder):
        if not stat.S_ISLNK(found.st_mode):
            reading = 0o755 if stat.S_ISDIR(found.st_mode) or found.st_mode & 0o100 else 0o644
            if stat.S_IMODE(found.st_mode) != reading:
                os.chmod(path, reading)
    folder.chmod(0o755)


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                yield entry.path, found
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(entry.path)


def collect(folder: Path) -> tuple[list[ArtifactFile], list[Refused]]:
    """The plain files below `folder`, sorted by name, and what was refused: anything else, odd names, too much."""
    files: list[ArtifactFile] = []
    refused: list[Refused] = []
    size = 0
    for name, found in sorted(_entries(folder, refused)):
        if (why := objection(name, found.st_mode)) is not None:
            refused.append(Refused(name=readable(name), why=why))
        elif len(files) >= MAXIMUM_FILES:
            refused.append(Refused(name=readable(name), why=f"more than {MAXIMUM_FILES:,} files"))
        elif size + found.st_size > MAXIMUM_BYTES:
            refused.append(Refused(name=readable(name), why="more than 1 GiB of artifacts"))
        else:
            size += found.st_size
            if not os.access(folder / name, os.R_OK):
                (folder / name).chmod(0o600)
            files.append(ArtifactFile(name=name, size=found.st_size, path=folder / name))
    return files, shortened(refused)


def shortened(refused: list[Refused]) -> list[Refused]:
    """The first of them, and how many more there were."""
    if len(refused) <= _MAXIMUM_REFUSED:
        return refused
    more = len(refused) - _MAXIMUM_REFUSED
    return [*refused[:_MAXIMUM_REFUSED], Refused(name="…", why=f"{more:,} more were not collected")]


def _entries(folder: Path, refused: list[Refused]) -> Iterator[tuple[str, os.stat_result]]:
    """What lies below the folder and is not a folder, by its name below it; links are not followed."""
    if not _openable(folder):
        refused.append(Refused(name=folder.name, why="the artifacts folder is not a folder any more"))
        return
    waiting = [""]
    seen = 0
    while waiting:
        below = waiting.pop()
        for entry in os.scandir(folder / below if below else folder):
            seen += 1
            if seen > MAXIMUM_ENTRIES:
                refused.append(
                    Refused(name="…", why=f"more than {MAXIMUM_ENTRIES:,} entries, the rest is not looked at")
                )
                return
            name = f"{below}/{entry.name}" if below else entry.name
            found = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                yield name, found
            elif len(os.fsencode(name)) > _MAXIMUM_NAME or not _openable(folder / name):
                refused.append(
                    Refused(name=readable(name), why="a folder with too long a name, or that cannot be opened")
                )
            else:
                waiting.append(name)


def _openable(folder: Path) -> bool:
    """Whether it is a folder, no link, made readable if the run closed it."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return False
        if not os.access(folder, os.R_OK | os.X_OK):
            folder.chmod(0o700)
    except OSError:
        return False
    return True


def objection(name: str, mode: int) -> str | None:
    """Why something is not collected, by its name below the artifacts folder and its file type; None if it is."""
    if stat.S_ISLNK(mode):
        return "a link"
    if not stat.S_ISREG(mode):
        return "not a plain file"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    if any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in name):
        return "the name holds control characters"
    if len(name.encode()) > _MAXIMUM_NAME or any(len(part.encode()) > _MAXIMUM_PART for part in name.split("/")):
        return "the name is too long"
    return None


def readable(name: str) -> str:
    """The name as it may be shown, whatever bytes are in it."""
    shown = os.fsencode(name).decode(errors="replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in shown)[:_MAXIMUM_NAME]


def remove(folder: Path) -> None:
    """Remove the folder and all in it: closed folders, and such as are nested deeper than a path can name.

    Not there: nothing to do. Raises OSError for what cannot be removed.
    """
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except PermissionError:
        folder.chmod(0o700)
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(root, 0o700)
        _empty(root)
    finally:
        os.close(root)
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()


def _empty(root: int) -> None:
    """Empty an open folder. What lies deeper is moved up first, so that no depth is too deep."""
    number = 0
    waiting = _unlink_files(root)
    while waiting:
        name = waiting.pop()
        os.chmod(name, 0o700, dir_fd=root)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
        try:
            for below in _unlink_files(inner):
                while _exists(lifted := f".removed-{number}", root):
                    number += 1
                os.chmod(below, 0o700, dir_fd=inner)  # to move a folder is to write its `..`
                os.rename(below, lifted, src_dir_fd=inner, dst_dir_fd=root)
                number += 1
                waiting.append(lifted)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=root)


def _exists(name: str, root: int) -> bool:
    try:
        os.stat(name, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _unlink_files(descriptor: int) -> list[str]:
    """Remove what is not a folder from an open folder; the names of those that are."""
    inner = []
    with os.scandir(descriptor) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in listed:
        if is_folder:
            inner.append(name)
        else:
            os.unlink(name, dir_fd=descriptor)
    return inner
