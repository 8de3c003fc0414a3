"""Base images: which one a version stands on, and the runner in a layer of its own on top of it."""

import asyncio
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from crewship.engine import docker_state
from crewship.engine.docker_engine import Engine, EngineRefused
from crewship.engine.docker_tar import Packed
from crewship.engine.docker_workshop import Workshop
from crewship.engine.executor import BuildFailed

RUNNER = Path(__file__).parent.parent / "runner"

_PULL_SECONDS = 900.0
_OFFICIAL = ("3.11", "3.12", "3.13", "3.10", "3.14")  # for which python:3.X-slim exists, best known first
_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|~=|>|<|===)?\s*(\d+(?:\.\d+)*)(\.\*)?\s*")

# Compiles the runner, which nobody can later: it is seen for reading alone. Says where the interpreter is.
_COMPILE = """
import compileall, json, os, sys
good = compileall.compile_dir("/runner", quiet=2)
print(json.dumps({"executable": os.path.realpath(sys.executable), "version": list(sys.version_info[:3])}))
sys.exit(0 if good else 1)
"""


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image of the engine: its id, its labels."""

    id: str
    labels: dict[str, str]


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What a version stands on: the image with the runner in it, the interpreter's place there, and its version."""

    image: str
    base_id: str
    executable: str
    python: str


async def inspect(engine: Engine, name: str) -> Image | None:
    """The image of that name or id; None if there is none."""
    try:
        found: dict[str, Any] = await engine.json("GET", f"images/{name}/json")
    except EngineRefused as refused:
        if refused.status == 404:
            return None
        raise
    return Image(id=found["Id"], labels=(found.get("Config") or {}).get("Labels") or {})


def chosen(asked: str | None, profile: str, images: Mapping[tuple[str, str], str]) -> tuple[str, str]:
    """The Python version (`3.12`) for a request like `3.12` or `>=3.11,<3.13`, and the base image's name.

    `images` are the operator's, by profile and version. Where a range leaves a choice they come first, the server's own
    version before the others. Raises BuildFailed, naming the setting.
    """
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    ours = [version for known, version in images if known == profile]
    official = list(_OFFICIAL) if profile == "slim" else []
    for version in sorted(dict.fromkeys([*ours, *official]), key=lambda one: (one not in ours, one != own)):
        if allows(asked, version):
            return version, images.get((profile, version), f"python:{version}-slim")
    setting = f"CREWSHIP_BASE_IMAGE_{profile.upper()}_PYTHON_{(asked or own).replace('.', '_')}"
    if re.fullmatch(r"\d+\.\d+", asked or own):
        raise BuildFailed(f'no base image for Python {asked or own}, profile "{profile}": set {setting} on the server')
    raise BuildFailed(f'no base image for Python {asked}, profile "{profile}"')


def allows(asked: str | None, version: str) -> bool:
    """Whether a minor version has releases that a request takes; its newest patch is taken to be there."""
    newest = (*map(int, version.split(".")), 999)
    return all(_holds(newest, *clause) for clause in _clauses(asked or ""))


def _clauses(asked: str) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    for part in filter(str.strip, asked.split(",")):
        if (match := _CLAUSE.fullmatch(part)) is None:
            raise BuildFailed(f"Python {asked!r} is no version that can be understood")
        yield match[1] or "==", tuple(map(int, match[2].split("."))), match[3] is not None or match[1] is None


def _holds(newest: tuple[int, ...], sign: str, named: tuple[int, ...], prefix: bool) -> bool:
    same = newest[: min(len(named), 2)] == named[:2]
    match sign:
        case ">=":
            return newest >= named
        case ">":
            return newest > (*named, *[999] * (3 - len(named))) if same else newest > named
        case "<=":
            return newest[:2] < named[:2] or (same and len(named) > 2)
        case "<":
            return newest[:2] < named[:2] or (same and len(named) > 2 and named[2] > 0)
        case "!=":
            return not (same and prefix)
        case "~=":
            return newest >= named and newest[: len(named) - 1] == named[:-1]
    return same


class Bases:
    """Gives base images with the runner of this server in them; each is made once."""

    def __init__(self, engine: Engine, images: Mapping[tuple[str, str], str], server_id: str, repository: str) -> None:
        self.engine, self._images, self.repository = engine, dict(images), repository
        self.server_id = server_id
        self._making = asyncio.Lock()
        self._pulled: dict[str, Image] = {}
        self.runner = digest(RUNNER)

    async def get(self, asked: str | None, profile: str) -> Base:
        """The base for a request. Pulls what is not there. Raises BuildFailed."""
        python, name = chosen(asked, profile, self._images)
        async with self._making:
            base = await self.pull(name)
            tag = hashlib.sha256(f"{base.id} {self.runner}".encode()).hexdigest()[:24]
            image = f"{self.repository}/runner:{tag}"
            found = await inspect(self.engine, image)
            if found is None:
                await self.with_runner(base.id, image, {docker_state.KIND: "runner"})
                found = await inspect(self.engine, image)
        if found is None:
            raise BuildFailed(f"the base image {name} could not be prepared")
        told = json.loads(found.labels[docker_state.PYTHON])
        if told["version"][:2] != list(map(int, python.split("."))):
            real = ".".join(map(str, told["version"]))
            raise BuildFailed(f"the base image {name} was set for Python {python}, but holds Python {real}")
        return Base(image=image, base_id=base.id, executable=told["executable"], python=python)

    async def pull(self, name: str) -> Image:
        """The image of that name, pulled where it is not there. Raises BuildFailed."""
        if name in self._pulled and await inspect(self.engine, self._pulled[name].id):
            return self._pulled[name]
        found = await inspect(self.engine, name)
        if found is None:
            try:
                path, query = "images/create", {"fromImage": name}
                last = await self.engine.json("POST", path, query=query, seconds=_PULL_SECONDS)
            except (EngineRefused, ValueError) as problem:
                raise BuildFailed(f"the base image {name} cannot be pulled: {problem}") from problem
            if last and "error" in last:
                raise BuildFailed(f"the base image {name} cannot be pulled: {last['error']}")
            found = await inspect(self.engine, name)
        if found is None:
            raise BuildFailed(f"the base image {name} is not there and could not be pulled")
        self._pulled[name] = found
        return found

    async def with_runner(self, image: str, name: str, labels: Mapping[str, str], config: Any = None) -> None:
        """Make the image `name`: `image` with this server's runner in /runner, compiled, belonging to root.

        What runs for this is the base's own interpreter, isolated from all that a build put there.
        """
        shop = Workshop(self.engine, image, {docker_state.SERVER: self.server_id})
        try:
            await shop.open(identity=0, program=["python3", "-I", "-S", "-c", _COMPILE])
            await shop.put(await asyncio.to_thread(packed_runner))
            deadline = asyncio.get_running_loop().time() + 120
            said = [line async for line in shop.run(None, deadline)]
            await shop.commit(
                name,
                {**labels, docker_state.RUNNER: self.runner, docker_state.PYTHON: said[-1] if said else ""},
                config,
            )
        finally:
            await shop.close()


def packed_runner() -> Packed:
    packed = Packed()
    packed.folder("runner")
    # The guard and the host of Python's frameworks lie at the top, as their own imports want it; that of Node's below.
    for place, folder in (("runner", RUNNER / "python"), ("runner/node", RUNNER / "node")):
        packed.folder(place)
        for path in sorted(folder.rglob("*")):
            if "__pycache__" not in path.parts:
                name = f"{place}/{path.relative_to(folder)}"
                packed.folder(name) if path.is_dir() else packed.file(name, path.read_bytes())
    return packed


def digest(folder: Path) -> str:
    """A name for what the runner's files hold. Blocks for a moment."""
    found = hashlib.sha256()
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.mjs")]):
        found.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
