"""Which Node a version runs on: found among those of this machine."""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from crewship.engine import node_versions
from crewship.engine.executor import BuildFailed
from crewship.engine.pythons import output_of

_LOOK = 20.0
_QUESTION = "console.log(JSON.stringify({executable: process.execPath, version: process.versions.node}))"

# Where version managers keep theirs, below the home folder.
_MANAGED = (
    ".nvm/versions/node/*/bin",
    ".local/share/fnm/node-versions/*/installation/bin",
    ".volta/tools/image/node/*/bin",
    ".local/share/mise/installs/node/*/bin",
    ".asdf/installs/nodejs/*/bin",
)


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A Node: its program (no link), its npm, the folder that holds all it needs, its version as `20.11.1`."""

    executable: str
    npm: str
    prefix: str
    version: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version, to be compared."""
        return tuple(int(part) for part in self.version.split(".")[:3])


class Nodes:
    """Finds Nodes; `environ` is the operator's."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: dict[str, Node | None] = {}

    async def find(self, asked: str | None, engines: str | None) -> Node:
        """The Node of the major version `asked`; else the first that package.json's `engines` allow, else the first.

        The server's own PATH comes first. Raises BuildFailed, saying which there are.
        """
        there = [node for node in [await self._node(place) for place in self._places()] if node is not None]
        if not there:
            raise BuildFailed("there is no Node with npm on the server: install Node there (20 or newer)")
        wanted = engines if asked is None else asked
        for node in there:
            if node_versions.allows(wanted, node.numbers):
                return node
        if asked is None:
            return there[0]  # npm warns of it, too, and goes on
        versions = ", ".join(dict.fromkeys(node.version for node in there))
        raise BuildFailed(
            f"Node {asked} is not on the server (there: {versions}); install it there, or ask for another"
        )

    def _places(self) -> Iterator[Path]:
        home = Path(self._environ.get("HOME") or "/")
        for folder in self._environ.get("PATH", os.defpath).split(os.pathsep):
            yield Path(folder or "/", "node")
        for pattern in _MANAGED:
            yield from sorted((found / "node" for found in home.glob(pattern)), reverse=True)

    async def _node(self, place: Path) -> Node | None:
        npm = place.with_name("npm")
        if not (os.access(place, os.X_OK) and npm.exists()):
            return None
        name = str(place)
        if name not in self._known:
            status, said = await output_of([name, "-e", _QUESTION], {}, _LOOK)
            self._known[name] = None if status else await asyncio.to_thread(_described, said, npm)
        return self._known[name]


def _described(said: str, npm: Path) -> Node:
    told = json.loads(said)
    executable = os.path.realpath(told["executable"])
    return Node(
        executable=executable,
        npm=os.path.realpath(npm),
        prefix=str(Path(executable).parent.parent),
        version=told["version"],
    )
