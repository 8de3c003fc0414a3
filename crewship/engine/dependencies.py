"""What a project says about itself: its dependencies, its Python, its entrypoint. Read, never run."""

import ast
import hashlib
import json
import re
import sysconfig
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from crewship.engine import declared
from crewship.engine.executor import BuildFailed
from crewship.engine.pythons import Python
from domain import toml_text

# Raised when environments are built in another way, so that old ones are not taken for new.
_FORM = 1

# The package that must be in the environment of a version of each framework that this builder knows.
FRAMEWORKS = {"crewai": "crewai", "langgraph": "langgraph"}

Source = Literal["lock", "pyproject", "requirements", "none"]

# No \s at a line's beginning: it would run over all lines to come, once from each of them.
_LOCAL_REQUIREMENT = re.compile(r"^[ \t]*(-e\b|--editable\b|\.|/)|file:", re.MULTILINE)
_LOCAL_LOCKED = re.compile(r'\b(directory|editable|path) = "(?!\.")')
_INCLUDE = re.compile(r"^[ \t]*(?:-r|--requirement|-c|--constraint)[ \t=]*(\S+)", re.MULTILINE)
_PARSED = 1024 * 1024  # bytes of an entrypoint's module that is looked into; a larger one is only looked for


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project's own words about its dependencies.

    Which file counts: uv.lock beside a pyproject.toml with [project]; else a pyproject.toml that declares dependencies;
    else requirements.txt; else a pyproject.toml whose build backend knows them (as Poetry's does); else none.
    `text` is everything that decides what gets installed; `local` says that files of the project are among it.
    """

    source: Source
    text: str
    local: bool
    requires_python: str | None
    packaged: bool


def read(root: Path) -> Project:
    """Read an unpacked project. Raises BuildFailed for a pyproject.toml that is none."""
    pyproject = _pyproject(root / "pyproject.toml")
    project = _table(pyproject, "project")
    source = _source(root, pyproject, project)
    requires = project.get("requires-python")
    text, local = _inputs(root, source, pyproject, project)
    return Project(
        source=source,
        text=text,
        local=local,
        requires_python=requires if isinstance(requires, str) else None,
        packaged="build-system" in pyproject,
    )


def key(project: Project, python: Python, deployment_id: str, source_sha256: str) -> str:
    """The name of the environment that serves this project: equal where what would be installed is equal.

    Only within a deployment: a build runs the project's own code, which could leave behind anything in what it builds.
    """
    decides = [_FORM, deployment_id, python.version, python.executable, sysconfig.get_platform()]
    decides += [project.source, project.text, source_sha256 if project.local else ""]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def _pyproject(path: Path) -> dict[str, Any]:
    try:
        return toml_text.loads(declared.read(path, strict=True))
    except FileNotFoundError:
        return {}
    except toml_text.TooLarge:
        raise BuildFailed("pyproject.toml holds a value that is too large to be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as problem:
        raise BuildFailed(f"pyproject.toml: {problem}") from problem


def _table(parent: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        value = parent.get(name)
        parent = value if isinstance(value, dict) else {}
    return parent


def _source(root: Path, pyproject: dict[str, Any], project: dict[str, Any]) -> Source:
    if project and (root / "uv.lock").is_file():
        return "lock"
    if "dependencies" in project or "dependencies" in (project.get("dynamic") or []):
        return "pyproject"
    if (root / "requirements.txt").is_file():
        return "requirements"
    return "pyproject" if "build-system" in pyproject else "none"


def _inputs(root: Path, source: Source, pyproject: dict[str, Any], project: dict[str, Any]) -> tuple[str, bool]:
    if source == "lock":
        text = declared.read(root / "uv.lock", declared.LOCK_BYTES)
        return text, _LOCAL_LOCKED.search(text) is not None
    if source == "requirements":
        text = "\n".join(_requirements(root))
        return text, _LOCAL_REQUIREMENT.search(text) is not None
    uv_settings = _table(pyproject, "tool", "uv")
    text = json.dumps([project.get("dependencies"), project.get("requires-python"), uv_settings], default=str)
    undeclared = source == "pyproject" and "dependencies" not in project
    return text, undeclared or "sources" in uv_settings or "workspace" in uv_settings or "file:" in text


def _requirements(root: Path) -> Iterable[str]:
    """The text of requirements.txt and of every file it includes, also by way of others, within the project."""
    waiting = [root / "requirements.txt"]
    seen: set[Path] = set()
    size = 0
    while waiting:
        path = waiting.pop().resolve()
        if path in seen or not path.is_relative_to(root.resolve()) or not path.is_file():
            continue
        seen.add(path)
        text = declared.read(path)
        size += len(text)
        if size > declared.BYTES:
            raise BuildFailed(f"requirements.txt: more than {declared.BYTES >> 20} MiB with what it includes")
        yield text
        waiting += [path.parent / name for name in _INCLUDE.findall(text)]


def check_entrypoint(entrypoint: str, places: Sequence[Path]) -> list[str]:
    """Warnings about an entrypoint `module:attribute` (or `./path/file.py:attribute`) looked for below `places`.

    A build may have left anything there, so a link that leads out is not followed. Raises BuildFailed if the module is
    nowhere.
    """
    module, colon, attribute = entrypoint.rpartition(":")
    if not colon or not module or not attribute:
        raise BuildFailed(f'entrypoint "{entrypoint}": write it as module:attribute')
    names = list(_files(module))
    for place in places:
        for file in (place / name for name in names):
            if file.is_file() and file.resolve().is_relative_to(place.resolve()):
                return _unseen(entrypoint, attribute, file)
    if any((place / module.replace(".", "/")).is_dir() for place in places if "/" not in module):
        return []  # a namespace package, or a compiled module: only importing it would tell
    raise BuildFailed(f'entrypoint "{entrypoint}": no module {names[0]} in the project')


def _files(module: str) -> Iterable[str]:
    if "/" in module or module.endswith(".py"):
        path = module.removeprefix("./")
        yield path if path.endswith(".py") else f"{path}.py"
    else:
        path = module.replace(".", "/")
        yield from (f"{path}.py", f"{path}/__init__.py")


def _unseen(entrypoint: str, attribute: str, file: Path) -> list[str]:
    if file.stat().st_size > _PARSED:
        return []
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        return [f'warning: entrypoint "{entrypoint}": {file.name} does not parse: {problem}']
    names = set(_bound(tree.body))
    if attribute.split(".")[0] in names or "*" in names or "__getattr__" in names:
        return []
    return [f'warning: entrypoint "{entrypoint}": no {attribute} to be seen in {file.name}']


def _bound(body: Sequence[ast.stmt]) -> Iterable[str]:
    """The names that the statements of a module bind."""
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name.split(".")[0] for alias in names)
            case _:
                # Assignments of any shape, also within `if`, `try`, `with`, loops.
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        yield node.id
                    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                        yield node.name
                    elif isinstance(node, ast.alias):
                        yield node.asname or node.name.split(".")[0]
