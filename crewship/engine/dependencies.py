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

from crewship.engine.executor import BuildFailed
from crewship.engine.pythons import Python

# Raised when environments are built in another way, so that old ones are not taken for new.
_FORM = 1

# The package that must be in the environment of a version of each framework that this builder knows.
FRAMEWORKS = {"crewai": "crewai", "langgraph": "langgraph"}

Source = Literal["lock", "pyproject", "requirements", "none"]

_LOCAL_REQUIREMENT = re.compile(r"^\s*(-e\b|--editable\b|\.|/)|file:", re.MULTILINE)
_LOCAL_LOCKED = re.compile(r'\b(directory|editable|path) = "(?!\.")')
_INCLUDE = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[\s=]*(\S+)", re.MULTILINE)


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
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
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
        text = (root / "uv.lock").read_text("utf-8", "replace")
        return text, _LOCAL_LOCKED.search(text) is not None
    if source == "requirements":
        text = _requirements(root, root / "requirements.txt", set())
        return text, _LOCAL_REQUIREMENT.search(text) is not None
    uv_settings = _table(pyproject, "tool", "uv")
    text = json.dumps([project.get("dependencies"), project.get("requires-python"), uv_settings], default=str)
    undeclared = source == "pyproject" and "dependencies" not in project
    return text, undeclared or "sources" in uv_settings or "workspace" in uv_settings or "file:" in text


def _requirements(root: Path, file: Path, seen: set[Path]) -> str:
    """The file's text and that of every file it includes, if those lie within the project."""
    path = file.resolve()
    if path in seen or not path.is_relative_to(root.resolve()) or not path.is_file():
        return ""
    seen.add(path)
    text = path.read_text("utf-8", "replace")
    return text + "".join("\n" + _requirements(root, path.parent / name, seen) for name in _INCLUDE.findall(text))


def check_entrypoint(entrypoint: str, places: Sequence[Path]) -> list[str]:
    """Warnings about an entrypoint `module:attribute` (or `./path/file.py:attribute`) looked for below `places`.

    Raises BuildFailed if its module is nowhere.
    """
    module, colon, attribute = entrypoint.rpartition(":")
    if not colon or not module or not attribute:
        raise BuildFailed(f'entrypoint "{entrypoint}": write it as module:attribute')
    names = list(_files(module))
    for file in (place / name for place in places for name in names):
        if file.is_file():
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
