"""A project's folder as a gzipped tar: the same files always give the same bytes.

Left out are what the .gitignore files say (those in the folder, nested ones, and those above it up to the top of its
repository), what `[build] exclude` says, and what never travels.
"""

import gzip
import os
import re
import stat
import tarfile
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from pathspec import GitIgnoreSpec

from crewship.cli.errors import Mistake

NEVER = frozenset({".git", ".env", ".venv", "venv", "__pycache__", "node_modules", ".data"})
ALWAYS = "crewship.toml"


class Packed(NamedTuple):
    """What was packed: the names in the archive, their bytes before packing, and the archive's size."""

    names: list[str]
    size: int
    packed: int


class _File(NamedTuple):
    name: str
    path: Path


class _Rules(NamedTuple):
    """What one .gitignore says. Seen from its folder, a file's name is longer by `above` or shorter by `below`."""

    above: str
    below: str
    spec: GitIgnoreSpec


def never_travels(name: str) -> bool:
    """Whether a file or folder of that name is left out whatever else is said: secrets, and what is built anew."""
    return name in NEVER or (name.startswith(".env.") and name != ".env.example")


def pack(folder: Path, exclude: Sequence[str], into: IO[bytes]) -> Packed:
    """Writes the archive. Raises Mistake where there is nothing to pack, or something that cannot be."""
    files = sorted(_Walk(folder.resolve(), exclude).files())
    if not files:
        raise Mistake(f"{folder} holds nothing to deploy")
    total = 0
    with (
        gzip.GzipFile(filename="", fileobj=into, mode="wb", mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in files:
            total += _add(archive, file)
    return Packed([file.name for file in files], total, into.tell())


def temporary() -> IO[bytes]:
    """A nameless file that is gone when it is closed."""
    return tempfile.TemporaryFile(prefix="crewship-")  # the caller closes it


def _add(archive: tarfile.TarFile, file: _File) -> int:
    try:
        with file.path.open("rb") as content:
            found = os.fstat(content.fileno())
            entry = tarfile.TarInfo(file.name)
            entry.size = found.st_size
            entry.mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
            archive.addfile(entry, content)  # mtime and owners stay 0: they are not the project
            return entry.size
    except OSError as error:
        raise Mistake(f"{file.name} cannot be packed: {error.strerror or error}") from None


class _Walk:
    """Goes through a folder once, and names what stands in the way of packing it all at once."""

    def __init__(self, root: Path, exclude: Sequence[str]) -> None:
        self.root = root
        try:
            self.excluded = GitIgnoreSpec.from_lines(exclude)
        except ValueError as error:
            raise Mistake(f"[build] exclude in {ALWAYS}: {error}") from None
        self.problems: list[str] = []

    def files(self) -> list[_File]:
        found = list(self._folder(self.root, "", _rules_above(self.root), (self.root,)))
        if self.problems:
            more = len(self.problems) - 5
            raise Mistake("; ".join(self.problems[:5]) + (f"; and {more} more" if more > 0 else ""))
        return found

    def _folder(self, path: Path, prefix: str, rules: tuple[_Rules, ...], way: tuple[Path, ...]) -> Iterator[_File]:
        """The files below; `way` holds the real folders that lead here, so that no link is walked for ever."""
        rules = _with_own_rules(path, prefix, rules)
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            self.problems.append(f"{prefix or '.'} cannot be read: {error.strerror}")
            return
        for entry in entries:
            name = prefix + entry.name
            is_folder = Path(entry.path).is_dir()
            if self._left_out(entry.name, name, is_folder, rules):
                continue
            target = self._target(entry, name)
            if target is None:
                continue
            if not is_folder:
                yield _File(name, target)
            elif target in way:
                self.problems.append(f"{name} is a link that leads back to a folder it lies in")
            else:
                yield from self._folder(target, name + "/", rules, (*way, target))

    def _left_out(self, bare: str, name: str, is_folder: bool, rules: tuple[_Rules, ...]) -> bool:
        if name == ALWAYS:
            return False
        if never_travels(bare):
            return True
        shown = name + "/" if is_folder else name
        return bool(_says(self.excluded, shown)) or _ignored(shown, rules)

    def _target(self, entry: os.DirEntry[str], name: str) -> Path | None:
        """The file or folder that is meant, or None where there is nothing that could be packed."""
        if not _can_be_named(name):
            self.problems.append(f"{name!r} is a name that cannot be packed")
            return None
        target = Path(entry.path)
        if entry.is_symlink():
            target = Path(os.path.realpath(entry.path))
            if not target.is_relative_to(self.root):
                self.problems.append(f"{name} is a link that points outside of the project, to {target}")
                return None
            if not target.exists():
                self.problems.append(f"{name} is a link that points at nothing")
                return None
            if any(map(never_travels, target.relative_to(self.root).parts)):
                self.problems.append(f"{name} is a link to {target.relative_to(self.root)}, which never travels")
                return None
        # Sockets, pipes and devices are no part of a project; git does not see them either.
        return target if target.is_dir() or target.is_file() else None


def _ignored(name: str, rules: tuple[_Rules, ...]) -> bool:
    """As git decides: the nearest .gitignore that has anything to say about it."""
    for above, below, spec in reversed(rules):
        said = _says(spec, above + name.removeprefix(below))
        if said is not None:
            return said
    return False


def _says(spec: GitIgnoreSpec, name: str) -> bool | None:
    """Whether the last pattern that means this file or folder ignores it or takes it back; None where none does.

    pathspec by itself also lets a pattern speak for all that lies below what it means: `!/src` would take back
    `src/key.pem`. Git asks for each folder on the way, and so do we while walking.
    """
    for pattern in reversed(spec.patterns):
        regex = pattern.regex
        if pattern.include is not None and regex and any(_of_itself(found, name) for found in regex.finditer(name)):
            return bool(pattern.include)
    return None


def _of_itself(found: re.Match[str], name: str) -> bool:
    """Whether the pattern matched the name, rather than a folder above it (`ps_d` marks the end of a folder)."""
    if "ps_d" in found.re.groupindex:
        return found.start("ps_d") in (-1, len(name) - 1)
    return not (name.endswith("/") and found.end() == len(name))  # `folder/**` means what is in it only


def _with_own_rules(path: Path, prefix: str, rules: tuple[_Rules, ...]) -> tuple[_Rules, ...]:
    spec = _gitignore(path)
    return rules if spec is None else (*rules, _Rules("", prefix, spec))


def _rules_above(root: Path) -> tuple[_Rules, ...]:
    """The .gitignore files between the project and the top of its repository, outermost first.

    One that ignores the project as a whole has no say: who deploys the folder means it.
    """
    above = list(root.parents)
    if (root / ".git").exists():
        return ()
    top = next((at for at, parent in enumerate(above) if (parent / ".git").exists()), None)
    if top is None:
        return ()
    rules: list[_Rules] = []
    for parent in reversed(above[: top + 1]):
        spec = _gitignore(parent)
        way = root.relative_to(parent).as_posix() + "/"
        if spec is not None and not spec.match_file(way):
            rules.append(_Rules(way, "", spec))
    return tuple(rules)


def _gitignore(folder: Path) -> GitIgnoreSpec | None:
    """The rules of the folder's own .gitignore; git does not follow a link there, and neither do we."""
    path = folder / ".gitignore"
    if path.is_symlink() or not path.is_file():
        return None
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror or error}") from None
    # `a/**/` means the folders within a; pathspec takes it for a itself.
    plain = (re.sub(r"/\*\*/\s*$", "/**/*/", line) for line in lines)
    return GitIgnoreSpec.from_lines(filter(_is_pattern, plain))


def _is_pattern(line: str) -> bool:
    """Whether a line is one that git would heed; git passes over the others in silence."""
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _can_be_named(name: str) -> bool:
    """Whether every system can take the name: UTF-8, no control characters, no backslash."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\\" not in name and not any(unicodedata.category(c) == "Cc" for c in name)
