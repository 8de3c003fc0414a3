"""crewship.toml as data: what a project says about how it wants to be built and run.

`parse` takes the text, `Manifest.deployment` gives one deployment's part with every default filled in. Durations are
seconds, sizes are bytes. Whatever is wrong is a `ManifestError` that names the line, the key and what would be right.
"""

import re
import tomllib
import unicodedata
from typing import Any, Literal

import msgspec

from domain import manifest_lines, toml_text
from domain import manifest_values as values
from domain.errors import BadRequest

FILE = "crewship.toml"
Framework = Literal["crewai", "langgraph", "langgraph-js"]
FRAMEWORKS: tuple[Framework, ...] = ("crewai", "langgraph", "langgraph-js")
Profile = Literal["slim", "browser"]
Network = Literal["internet", "none"]
MIB = 1024**2

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_ATTRIBUTE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_EXPORT = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_SOURCE = {"python": (".py",), "node": (".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx")}


class ManifestError(BadRequest):
    """crewship.toml says something that it cannot say."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run may take. `max_concurrency` 0 is no limit."""

    timeout: float = 1800.0
    queue_timeout: float = 3600.0
    memory: int = 1024 * MIB
    disk: int = 2048 * MIB
    logs: int = 32 * MIB
    cpus: float = 1.0
    processes: int = 256
    max_concurrency: int = 0


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a run that failed is tried in all, and the pause before another try."""

    attempts: int = 1
    backoff: float = 10.0


class Chat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which key of the input takes a chat message, and which key of the output holds the answer."""

    input_key: str | None = None
    output_key: str | None = None


class DeploymentManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One deployment's part of crewship.toml.

    `name` is None where the file gives none: the folder names it then. `entrypoint` is `module:attribute`, or
    `./path/inside/the/project.ext:attribute`. `exclude` holds patterns as in a .gitignore.
    """

    name: str | None = None
    framework: Framework
    entrypoint: str
    profile: Profile = "slim"
    python: str | None = None
    node: str | None = None
    min_warm: int = 0
    network: Network = "internet"
    exclude: tuple[str, ...] = ()
    chat: Chat | None = None
    limits: Limits = Limits()
    retry: Retry = Retry()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole crewship.toml. `several` is true where it is written with [deployments.<name>] tables."""

    deployments: tuple[DeploymentManifest, ...]
    several: bool = False

    def names(self) -> list[str]:
        """The names that the file gives, in its order."""
        return [deployment.name for deployment in self.deployments if deployment.name]

    def deployment(self, name: str | None = None) -> DeploymentManifest:
        """The one of that name; without a name, the only one.

        A file with [deployment] describes one project, which may be deployed under any name: it answers to all.
        """
        if not self.several:
            only = self.deployments[0]
            return only if name is None else msgspec.structs.replace(only, name=name)
        if name is None and len(self.deployments) == 1:
            return self.deployments[0]
        listed = ", ".join(self.names())
        if name is None:
            raise ManifestError(f"{FILE} has several deployments ({listed}): pick one with --name")
        for deployment in self.deployments:
            if deployment.name == name:
                return deployment
        raise ManifestError(f'{FILE} has no deployment "{name}"{values.guess(name, self.names())}; it has {listed}')


def parse(text: str) -> Manifest:
    """The manifest that the text describes. Raises ManifestError, and nothing else, for any other text."""
    text = text.removeprefix("\ufeff")
    try:
        document = toml_text.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(str(error)) from None
    except toml_text.TooLarge:
        raise ManifestError(f"{FILE} holds a value that is too large to be read") from None
    return _Reader(document, manifest_lines.find(text)).manifest()


def slug(folder: str) -> str:
    """The name of a deployment that is named by a folder: `My Crew!` becomes `my-crew`. Always a valid name."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:63].rstrip("-_") or "project"


def check_name(name: str) -> str:
    """The name, where a deployment may bear it; else a BadRequest that says which names there can be."""
    if not values.NAME.fullmatch(name):
        raise BadRequest(f'name: "{name[:80]}" {values.NAME_RULE}')
    return name


class _Reader:
    """Turns a parsed document into a manifest, and every fault into an error that names its line."""

    def __init__(self, document: dict[str, Any], lines: dict[tuple[str, ...], int]) -> None:
        self.document = document
        self.lines = lines

    def error(self, path: tuple[str, ...], message: str) -> ManifestError:
        """The fault, at the line of the key or of what holds it."""
        known = next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), 1)
        return ManifestError(f"{FILE} line {known}: {message}")

    def manifest(self) -> Manifest:
        self.known((), self.document, ("deployment", "deployments", "build", "chat"))
        build = self.table(("build",), {"exclude": values.patterns})
        chat = self.table(("chat",), _CHAT)
        if "deployment" in self.document and "deployments" in self.document:
            raise self.error(("deployments",), "[deployment] and [deployments.<name>] cannot stand in one file")
        if "deployment" in self.document:
            only = self.one(("deployment",), {"name": values.name}, build, chat)
            return Manifest(deployments=(only,))
        tables = self.at(("deployments",))
        if not tables:
            raise self.error(("deployments",), "there is no [deployment] with a framework and an entrypoint")
        for name in tables:
            if not values.NAME.fullmatch(name):
                raise self.error(("deployments", name), f'"{name[:80]}" {values.NAME_RULE}')
        parts = (msgspec.structs.replace(self.one(("deployments", n), {}, build, chat), name=n) for n in tables)
        return Manifest(deployments=tuple(parts), several=True)

    def one(
        self, path: tuple[str, ...], more: dict[str, values.Check], build: dict[str, Any], chat: dict[str, Any]
    ) -> DeploymentManifest:
        said = self.table(path, {**more, **_DEPLOYMENT}, ("limits", "retry", "chat"))
        for key in ("framework", "entrypoint"):
            if key not in said:
                raise self.error(path, f"{_title(path)} has no {key}: {_EXAMPLE[key]}")
        said["entrypoint"] = self.entrypoint(path, said["framework"], said["entrypoint"])
        if said["framework"] == "langgraph-js" and "python" in said:
            raise self.error((*path, "python"), f"python in {_title(path)} is for Python frameworks only")
        if said["framework"] != "langgraph-js" and "node" in said:
            raise self.error((*path, "node"), f"node in {_title(path)} is for langgraph-js only")
        merged = {**chat, **self.table((*path, "chat"), _CHAT)}
        return DeploymentManifest(
            **said,
            **build,
            chat=Chat(**merged) if merged else None,
            limits=Limits(**self.table((*path, "limits"), _LIMITS)),
            retry=Retry(**self.table((*path, "retry"), _RETRY)),
        )

    def entrypoint(self, path: tuple[str, ...], framework: str, text: str) -> str:
        """The entrypoint, where it has the form that the framework takes; a path of a file begins with ./ then."""
        language = "node" if framework == "langgraph-js" else "python"
        source, _, attribute = text.rpartition(":")
        named = (_EXPORT if language == "node" else _ATTRIBUTE).fullmatch(attribute)
        if named and source.endswith(_SOURCE[language]) and _inside(source):
            return f"./{source.removeprefix('./')}:{attribute}"
        if named and language == "python" and _MODULE.fullmatch(source):
            return text
        hint = "./src/graph.ts:graph" if language == "node" else "module:attribute or ./path/file.py:attribute"
        raise self.error(
            (*path, "entrypoint"), f'entrypoint in {_title(path)} must look like {hint}, not "{text[:80]}"'
        )

    def table(
        self, path: tuple[str, ...], checks: dict[str, values.Check], tables: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The checked values of the table at that path; what stands in further `tables` is left to others."""
        found = self.at(path)
        self.known(path, found, (*checks, *tables))
        said = {}
        for key, value in found.items():
            if key in checks:
                try:
                    said[key] = checks[key](value)
                except values.Wrong as wrong:
                    raise self.error((*path, key), f"{key} in {_title(path)} {wrong}") from None
        return said

    def at(self, path: tuple[str, ...]) -> dict[str, Any]:
        table = self.document
        for depth, key in enumerate(path, 1):
            found = table.get(key, {})
            if not isinstance(found, dict):
                raise self.error(path[:depth], f"{'.'.join(path[:depth])} must be a table, not {values.shown(found)}")
            table = found
        return table

    def known(self, path: tuple[str, ...], found: dict[str, Any], keys: tuple[str, ...]) -> None:
        for key in found:
            if key not in keys:
                where = f"in {_title(path)}" if path else "at the top"
                raise self.error((*path, key), f'unknown key "{key[:80]}" {where}{values.guess(key, keys)}')


_DEPLOYMENT: dict[str, values.Check] = {
    "framework": values.choice(*FRAMEWORKS),
    "entrypoint": values.text,
    "profile": values.choice("slim", "browser"),
    "python": values.python_version,
    "node": values.node_version,
    "min_warm": values.whole(0, 1000),
    "network": values.choice("internet", "none"),
}
_LIMITS: dict[str, values.Check] = {
    "timeout": values.duration(0.001),
    "queue_timeout": values.duration(0.001),
    "memory": values.size,
    "disk": values.size,
    "logs": values.size,
    "cpus": values.cores,
    "processes": values.whole(1, 1_000_000),
    "max_concurrency": values.whole(0, 1_000_000),
}
_RETRY: dict[str, values.Check] = {"attempts": values.whole(1, 100), "backoff": values.duration(0.0)}
_CHAT: dict[str, values.Check] = {"input_key": values.text, "output_key": values.text}
_EXAMPLE = {
    "framework": 'write framework = "langgraph", "crewai" or "langgraph-js"',
    "entrypoint": 'write entrypoint = "graph:graph" (the module, then the graph or crew in it)',
}


def _inside(source: str) -> bool:
    """Whether a path is written as one below the project's folder."""
    parts = source.removeprefix("./").split("/")
    return all(part not in ("", ".", "..") for part in parts) and not any(c in source for c in '\\:*?"<>|\0')


def _title(path: tuple[str, ...]) -> str:
    return f"[{'.'.join(path)}]"


def _syntax(message: str) -> ManifestError:
    """tomllib's message, with the line where it ends in one."""
    match = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", message, re.DOTALL)
    if match is None:
        return ManifestError(f"{FILE}: {message[:1].lower()}{message[1:]}")
    return ManifestError(f"{FILE} line {match[2]}: {match[1][:1].lower()}{match[1][1:]}")
