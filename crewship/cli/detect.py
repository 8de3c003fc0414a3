"""What kind of project a folder holds: its framework, and where its graph or crew is. Reads files, runs nothing."""

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from domain.manifest import Framework, slug

_PYTHON_FILES = {
    "langgraph": ("graph.py", "agent.py", "app.py", "main.py"),
    "crewai": ("crew.py", "main.py", "flow.py", "app.py"),
}
_NODE_FILES = ("graph.ts", "agent.ts", "index.ts", "graph.js", "agent.js", "index.js", "graph.mjs", "index.mjs")
_PREBUILT = frozenset({"create_react_agent", "create_agent", "create_supervisor", "create_swarm", "create_deep_agent"})
_GRAPH = r"(?:[^;]*?\.compile|\s*(?:await\s+)?(?:createReactAgent|createAgent|createSupervisor|createSwarm))\("
_ASSIGNED = re.compile(rf"^(export\s+)?(?:const|let)\s+([A-Za-z_$][\w$]*)[^=\n]*={_GRAPH}", re.MULTILINE)
_MAKER = re.compile(rf"^export\s+(?:async\s+)?function\s+([A-Za-z_$][\w$]*)[^\0]*?\breturn{_GRAPH}", re.MULTILINE)
_LISTED = re.compile(r"^export\s*\{([^}]*)\}(?!\s*from)", re.MULTILINE)
_LARGEST = 1_000_000


class Found(NamedTuple):
    """One thing that can be deployed; `name` where the project itself has one for it."""

    framework: Framework
    entrypoint: str
    name: str | None = None


def frameworks(folder: Path) -> list[Framework]:
    """The frameworks that the project depends on, most telling first."""
    names = _python_dependencies(folder)
    found: list[Framework] = []
    if "crewai" in names:
        found.append("crewai")
    in_node = "@langchain/langgraph" in _node_dependencies(folder)
    if "langgraph" in names or (not in_node and (folder / "langgraph.json").exists()):
        found.append("langgraph")
    if in_node:
        found.append("langgraph-js")
    return found


def deployables(folder: Path, framework: Framework | None = None) -> list[Found]:
    """What the folder holds of that framework, or of any: the graphs of langgraph.json, else what its code shows."""
    declared = [found for found in _langgraph_json(folder) if framework in (None, found.framework)]
    if declared:
        return declared
    for kind in [framework] if framework else frameworks(folder):
        entrypoint = _node(folder) if kind == "langgraph-js" else _python(folder, kind)
        if entrypoint:
            return [Found(kind, entrypoint)]
    return []


def python_version(folder: Path) -> str | None:
    """The Python that the project pins, like 3.12. A lower bound pins nothing: the server then takes what fits best."""
    wanted = _text(folder / ".python-version") or str(_project(folder).get("requires-python", ""))
    match = re.match(r"\s*(?:==|~=|\^)?\s*(3\.(?:9|[1-9][0-9]))\b", wanted)
    return match[1] if match else None


def node_version(folder: Path) -> str | None:
    """The major version of Node that the project pins, like 22; what `engines` allow is left to the server."""
    pinned = [_text(folder / name) for name in (".nvmrc", ".node-version")]
    pinned.append(_json(folder / "langgraph.json").get("node_version"))
    match = re.match(r"\s*v?([1-9][0-9])\b", str(next((version for version in pinned if version), "")))
    return match[1] if match else None


def _langgraph_json(folder: Path) -> list[Found]:
    document = _json(folder / "langgraph.json")
    graphs = document.get("graphs")
    if not isinstance(graphs, dict):
        return []
    found = []
    for name, graph in graphs.items():
        entrypoint = graph.get("path") if isinstance(graph, dict) else graph
        if not isinstance(entrypoint, str) or ":" not in entrypoint:
            continue
        source, _, attribute = entrypoint.rpartition(":")
        framework: Framework = "langgraph-js" if re.search(r"\.[cm]?[jt]sx?$", source) else "langgraph"
        if "/" in source or source.endswith(".py"):
            entrypoint = f"./{source.removeprefix('./')}:{attribute}"
        found.append(Found(framework, entrypoint, slug(name)))
    return found


def _python(folder: Path, framework: Framework) -> str | None:
    """The entrypoint as a module where Python will find it as one, else as a file."""
    find = _graph if framework == "langgraph" else _crew
    for path in _candidates(folder, _PYTHON_FILES[framework]):
        try:
            tree = ast.parse(_text(path) or "")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if attribute := find(tree):
            return f"{_module(folder, path)}:{attribute}"
    return None


def _module(folder: Path, path: Path) -> str:
    parts = list(path.relative_to(folder).with_suffix("").parts)
    installed = (folder / "pyproject.toml").exists()
    if parts[0] == "src" and installed and len(parts) > 1:
        parts = parts[1:]  # a project with a src layout is installed, its packages then stand at the top
    elif parts[0] == "src":
        return f"./{path.relative_to(folder).as_posix()}"
    if all(part.isidentifier() for part in parts):
        return ".".join(parts)
    return f"./{path.relative_to(folder).as_posix()}"


def _node(folder: Path) -> str | None:
    for path in _candidates(folder, _NODE_FILES):
        if name := _exported(_text(path) or ""):
            return f"./{path.relative_to(folder).as_posix()}:{name}"
    return None


def _exported(text: str) -> str | None:
    """The export that is a compiled graph, else the exported function that returns one."""
    listed = {part.strip(): None for exports in _LISTED.findall(text) for part in exports.split(",")}
    for exported, name in _ASSIGNED.findall(text):
        if exported or name in listed:
            return str(name)
    renamed = {part.split(" as ")[0].strip(): part.split(" as ")[1].strip() for part in listed if " as " in part}
    found = [renamed[name] for _, name in _ASSIGNED.findall(text) if name in renamed]
    made = _MAKER.search(text)
    return found[0] if found else made[1] if made else None


def _candidates(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """The files with one of the names: nearest to the top first, then in the order of the names."""
    for pattern in ("{}", "src/{}", "*/{}", "src/*/{}", "src/*/*/{}"):
        for name in names:
            for path in sorted(folder.glob(pattern.format(name))):
                hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
                if path.is_file() and not hidden and not {"tests", "venv", "node_modules"} & set(path.parts):
                    yield path


def _graph(tree: ast.Module) -> str | None:
    """The variable that holds a compiled graph, else the function that returns one."""
    return _assigned(tree, _is_compiled) or next(
        (
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _returns(node, _is_compiled)
        ),
        None,
    )


def _crew(tree: ast.Module) -> str | None:
    """The flow, else the class under @CrewBase, else the variable or the function that gives a crew."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for node in classes:
        if any(_named(base) == "Flow" for base in node.bases):
            return node.name
    for node in classes:
        if any(_named(decorator) == "CrewBase" for decorator in node.decorator_list):
            return node.name
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef) and _returns(node, _is_crew))
    return _assigned(tree, _is_crew) or next((node.name for node in functions), None)


def _is_compiled(value: ast.expr | None) -> bool:
    if not isinstance(value, ast.Call):
        return False
    method = isinstance(value.func, ast.Attribute) and value.func.attr == "compile" and _named(value.func.value) != "re"
    return method or _named(value.func) in _PREBUILT or (_named(value.func) == "with_config" and _inner(value))


def _inner(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and _is_compiled(call.func.value)


def _is_crew(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and _named(value.func) == "Crew"


def _assigned(tree: ast.Module, wanted: Callable[[ast.expr | None], bool]) -> str | None:
    """The last variable of the module that gets such a value; one called `graph` before others."""
    names = []
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if targets and wanted(node.value):  # type: ignore[attr-defined]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return "graph" if "graph" in names else names[-1] if names else None


def _returns(function: ast.FunctionDef | ast.AsyncFunctionDef, wanted: Callable[[ast.expr | None], bool]) -> bool:
    return any(isinstance(node, ast.Return) and wanted(node.value) for node in ast.walk(function))


def _named(node: ast.expr) -> str:
    """The last name of `a.b`, `a.b[c]` or `a.b(c)`."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _python_dependencies(folder: Path) -> set[str]:
    lines = [str(line) for line in _project(folder).get("dependencies", []) if isinstance(line, str)]
    poetry = _pyproject(folder).get("tool", {}).get("poetry", {}).get("dependencies", {})
    lines += list(poetry) if isinstance(poetry, dict) else []
    lines += (_text(folder / "requirements.txt") or "").splitlines()
    found = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[1]).lower() for match in found if match}


def _node_dependencies(folder: Path) -> set[str]:
    dependencies = _json(folder / "package.json").get("dependencies")
    return set(dependencies) if isinstance(dependencies, dict) else set()


def _project(folder: Path) -> dict[str, Any]:
    project = _pyproject(folder).get("project", {})
    return project if isinstance(project, dict) else {}


def _pyproject(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(folder / "pyproject.toml") or "")
    except (ValueError, RecursionError):
        return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_text(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(path: Path) -> str | None:
    """The file's text; None where there is none that could be read."""
    try:
        return path.read_text(encoding="utf-8-sig") if path.stat().st_size <= _LARGEST else None
    except (OSError, ValueError):
        return None
