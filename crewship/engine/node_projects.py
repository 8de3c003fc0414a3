"""What a Node's project says about itself in package.json: its dependencies, its Node. Read, never run."""

import hashlib
import json
import re
import sysconfig
from pathlib import Path
from typing import Any, Literal

import msgspec

from crewship.engine import declared
from crewship.engine.executor import BuildFailed

# The package that must be there for a version of each framework that runs in a Node.
FRAMEWORKS = {"langgraph-js": "@langchain/langgraph"}

ESBUILD = "0.28.2"  # what compiles TypeScript; installed beside the project's packages, never among them

# Raised when environments are built in another way, so that old ones are not taken for new.
_FORM = 1

Source = Literal["lock", "package"]

_LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
_NOT_READ = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "Yarn", "bun.lock": "Bun", "bun.lockb": "Bun"}
_SETTINGS = ".npmrc"
_DECIDES = (
    *("dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta"),
    *("bundleDependencies", "overrides", "workspaces", "engines"),
)
_SCRIPTS = ("preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare")
_LOCAL = re.compile(r'"(file|link|workspace|portal):|"link": true|"resolved": "file:')
_PLAIN = re.compile(r"\.[cm]?js$")


class NodeProject(msgspec.Struct, frozen=True, kw_only=True):
    """A project's own words about its dependencies.

    `text` is everything that decides what gets installed; `local` says that files of the project are among it (its own
    install scripts, packages of the project itself). `unread` names lock files of other package managers.
    """

    source: Source
    text: str
    local: bool
    engines: str | None
    unread: list[str]


def read(root: Path) -> NodeProject:
    """Read an unpacked project. Raises BuildFailed for a package.json that is none."""
    package = _package(root / "package.json")
    lock = next((name for name in _LOCKS if (root / name).is_file()), None)
    scripts = package.get("scripts")
    runs = {name: scripts[name] for name in _SCRIPTS if name in scripts} if isinstance(scripts, dict) else {}
    decides = {name: package.get(name) for name in _DECIDES} | {"scripts": runs}
    texts = [json.dumps(decides)]
    texts += [
        declared.read(root / name, declared.LOCK_BYTES)
        for name in (lock, _SETTINGS)
        if name and (root / name).is_file()
    ]
    engines = package.get("engines")
    wanted = engines.get("node") if isinstance(engines, dict) else None
    return NodeProject(
        source="lock" if lock else "package",
        text="\0".join(texts),
        local=bool(runs) or "workspaces" in package or any(_LOCAL.search(text) for text in texts),
        engines=wanted if isinstance(wanted, str) else None,
        unread=[name for name in _NOT_READ if lock is None and (root / name).is_file()],
    )


def _package(path: Path) -> dict[str, Any]:
    try:
        package = json.loads(declared.read(path, strict=True))
    except FileNotFoundError:
        raise BuildFailed("there is no package.json: a langgraph-js project needs one, beside crewship.toml") from None
    except (ValueError, RecursionError, OSError) as problem:
        raise BuildFailed(f"package.json: {problem}") from problem
    if not isinstance(package, dict):
        raise BuildFailed("package.json: not an object")
    return package


def notes(project: NodeProject) -> list[str]:
    """What the author should know about how the packages are chosen."""
    return [
        f"warning: {name} is {_NOT_READ[name]}'s and is not read: npm chooses versions by package.json alone "
        "(npm install makes a package-lock.json)"
        for name in project.unread
    ]


def key(project: NodeProject, node: str, place: str, deployment_id: str, source_sha256: str) -> str:
    """The name of the environment that serves this project: equal where what would be installed is equal.

    `node` is the version, `place` what it belongs to: a program or a base image. Only within a deployment, as those of
    Python (see dependencies.key).
    """
    decides = ["node", _FORM, deployment_id, node, place, ESBUILD, sysconfig.get_platform()]
    decides += [project.source, project.text, source_sha256 if project.local else ""]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def is_compiled(entrypoint: str) -> bool:
    """Whether an entrypoint's file is one that has to be compiled first."""
    return _PLAIN.search(entrypoint.rpartition(":")[0]) is None


def check_entrypoint(entrypoint: str, root: Path) -> None:
    """Raise BuildFailed if the entrypoint's file is not there."""
    place, _, name = entrypoint.rpartition(":")
    if not place or not name:
        raise BuildFailed(f'entrypoint "{entrypoint}": write it as ./path/file.ts:export')
    if not (root / place).is_file():
        raise BuildFailed(f'entrypoint "{entrypoint}": no file {place.removeprefix("./")} in the project')


def install_steps(project: NodeProject, npm: list[str], tools: str) -> list[list[str]]:
    """Programs, one after the other, that install the packages below the project's folder, and esbuild in `tools`."""
    quiet = ["--no-audit", "--no-fund", "--no-progress", "--no-update-notifier"]
    chosen = ["ci"] if project.source == "lock" else ["install", "--no-package-lock"]
    # The project's own settings are for its packages alone: --prefix leads past its .npmrc.
    esbuild = ["install", *quiet, "--no-package-lock", "--no-save", "--ignore-scripts", "--prefix", tools]
    return [[*npm, *chosen, *quiet], [*npm, *esbuild, f"esbuild@{ESBUILD}"]]


SOURCES = {"lock": "package-lock.json", "package": "package.json"}
