"""Images for a Node: as those for Python (see images.py), with a base that holds a Node.

base (node:22-slim, or the operator's)
└─ runner        /runner: the guard with an interpreter of its own, and the host of Node's frameworks
   └─ environment   /node_modules: the packages, by the deployment's own user; /tools: what compiles TypeScript
      └─ version       /app: the project, and what was compiled of it
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from crewship.engine import docker_bases, docker_python, docker_state, folders, node_projects, node_versions
from crewship.engine.docker_bases import Bases
from crewship.engine.docker_engine import Engine
from crewship.engine.docker_owners import add_users, config, identity
from crewship.engine.docker_tar import Packed
from crewship.engine.docker_workshop import CACHE, PROGRAM, SOURCE, TEMPORARY, Work, Workshop
from crewship.engine.executor import BuildFailed, BuildOrder
from crewship.engine.node_projects import SOURCES, NodeProject
from crewship.engine.programs import COMPILED, MODULES

APP, TOOLS = "/app", "/tools"

_OFFICIAL = ("22", "24", "20", "18")  # for which node:X-slim exists, the one to take where all will do first
_QUESTION = "console.log(JSON.stringify({executable: process.execPath, version: process.versions.node}))"
_BUILD = "/runner/node/build.mjs"


class NodeBase(msgspec.Struct, frozen=True, kw_only=True):
    """What a version stands on: the image with the runner in it, its Node, the command of the guard's interpreter."""

    image: str
    base_id: str
    node: str
    executable: str
    python: list[str]


def chosen(asked: str | None, engines: str | None, profile: str, images: Mapping[tuple[str, str], str]) -> str:
    """The base image for a major version, else for what `engines` allow; the operator's first. Raises BuildFailed."""
    ours = [version for known, version in images if known == profile]
    official = [version for version in _OFFICIAL if profile == "slim"]
    there = list(dict.fromkeys([*ours, *official, *([asked] if asked and profile == "slim" else [])]))
    for version in there:
        if node_versions.allows(engines if asked is None else asked, (int(version), 999, 999)):
            return images.get((profile, version), f"node:{version}-slim")
    if asked is None and there:
        return images.get((profile, there[0]), f"node:{there[0]}-slim")  # npm warns of it, too, and goes on
    setting = f"CREWSHIP_BASE_IMAGE_{profile.upper()}_NODE_{asked or _OFFICIAL[0]}"
    raise BuildFailed(f'no base image for Node {asked or "(any)"}, profile "{profile}": set {setting} on the server')


class NodeBases:
    """Gives base images for a Node with the runner of this server in them; each is made once."""

    def __init__(self, bases: Bases, images: Mapping[tuple[str, str], str]) -> None:
        self._bases, self._images = bases, dict(images)
        self._making = asyncio.Lock()

    async def get(self, asked: str | None, engines: str | None, profile: str) -> NodeBase:
        """The base for a request. Pulls what is not there. Raises BuildFailed."""
        name = chosen(asked, engines, profile, self._images)
        async with self._making:
            base = await self._bases.pull(name)
            tag = hashlib.sha256(f"node {base.id} {self._bases.runner}".encode()).hexdigest()[:24]
            image = f"{self._bases.repository}/runner:{tag}"
            found = await docker_bases.inspect(self._bases.engine, image)
            if found is None:
                await self.with_runner(base.id, image, {docker_state.KIND: "runner"})
                found = await docker_bases.inspect(self._bases.engine, image)
        if found is None:
            raise BuildFailed(f"the base image {name} could not be prepared")
        node, python = (json.loads(found.labels[label]) for label in (docker_state.NODE, docker_state.PYTHON))
        return NodeBase(
            image=image, base_id=base.id, node=node["version"], executable=node["executable"], python=python["command"]
        )

    async def with_runner(self, image: str, name: str, labels: Mapping[str, str], config: Any = None) -> None:
        """Make the image `name`: `image` with this server's runner in /runner, belonging to root."""
        python = await self._bases.get(None, "slim")
        brought = await docker_python.bring(self._bases.engine, self._bases.server_id, python.image)
        shop = Workshop(self._bases.engine, image, {docker_state.SERVER: self._bases.server_id})
        try:
            await shop.open(identity=0, program=["node", "-e", _QUESTION])
            await shop.put(await asyncio.to_thread(docker_bases.packed_runner))
            await shop.put_tar(brought.packed, str(Path(docker_python.PLACE).parent))
            said = [line async for line in shop.run(None, asyncio.get_running_loop().time() + 120)]
            told = {"command": brought.command, "version": brought.version}
            made = {docker_state.PYTHON: json.dumps(told), docker_state.NODE: said[-1] if said else ""}
            await shop.commit(name, {**labels, docker_state.RUNNER: self._bases.runner, **made}, config)
        finally:
            await shop.close()


class Builder(Protocol):
    """What a build asks of its DockerBuilder (see images.py)."""

    engine: Engine

    def image(self, kind: str, name: str) -> str:
        """The name of an image of ours."""
        ...

    def shop(self, image: str, order: BuildOrder) -> Workshop:
        """A workshop for this order, not open yet."""
        ...

    async def open_shop(
        self, shop: Workshop, order: BuildOrder, *, busy: bool, program: Sequence[str] | None = None
    ) -> None:
        """Open a workshop as the deployment's user; `busy` where programs will run that need packages."""
        ...

    def environment(self, tools: Mapping[str, str]) -> dict[str, str]:
        """The environment of the steps, the operator's settings in it."""
        ...


class NodeImageBuild:
    """One build under way, in images."""

    def __init__(
        self, builder: Builder, order: BuildOrder, project: NodeProject, base: NodeBase, source: Path, deadline: float
    ) -> None:
        self.key = node_projects.key(project, base.node, base.base_id, order.deployment_id, order.source_sha256)
        self.notes = [f"Node {base.node}", *node_projects.notes(project)]
        self._builder, self._order, self._project, self._base = builder, order, project, base
        self._source, self._deadline = source, deadline
        self._environment = builder.image("environment", self.key)

    async def environment(self) -> AsyncGenerator[str, None]:
        """Make the environment's image, unless it is there."""
        if await docker_bases.inspect(self._builder.engine, self._environment):
            yield "Dependencies unchanged, reused"
            return
        yield f"Installing dependencies ({SOURCES[self._project.source]})"
        steps = node_projects.install_steps(self._project, ["npm"], TOOLS)
        steps.append([self._base.executable, _BUILD, "settle", SOURCE, APP, f"/{MODULES}"])
        async with self._shop(self._base.image, busy=True) as shop:
            await shop.put(await asyncio.to_thread(self._packed_source, [MODULES, TOOLS[1:]]))
            async with contextlib.aclosing(shop.run(self._work(steps), self._deadline)) as lines:
                async for line in lines:
                    yield line
            labels = {docker_state.KIND: "environment", docker_state.ENVIRONMENT: self.key}
            await shop.commit(self._environment, labels)

    async def version(self) -> AsyncGenerator[str, None]:
        """Put the project on top, look at its entrypoint, compile it if it has to be, and make the version's image."""
        entrypoint = self._order.entrypoint
        await asyncio.to_thread(node_projects.check_entrypoint, entrypoint, self._source)
        compiled = node_projects.is_compiled(entrypoint)
        async with self._shop(self._environment, busy=False) as shop:
            if compiled:
                await shop.put(await asyncio.to_thread(self._packed_source, [f"{APP[1:]}/{COMPILED}"], linked=True))
                step = [self._base.executable, _BUILD, "compile", SOURCE, entrypoint, TOOLS, f"{APP}/{COMPILED}"]
                async with contextlib.aclosing(shop.run(self._work([step]), self._deadline)) as lines:
                    async for line in lines:
                        yield line
            await shop.put(await asyncio.to_thread(self._packed_project))
            labels = {
                docker_state.KIND: "version",
                docker_state.VERSION: self._order.version_id,
                docker_state.ENVIRONMENT: self.key,
            }
            name = self._builder.image("version", self._order.version_id)
            await shop.commit(name, labels, config(self._order))

    @contextlib.asynccontextmanager
    async def _shop(self, image: str, *, busy: bool) -> AsyncGenerator[Workshop, None]:
        shop = self._builder.shop(image, self._order)
        try:
            program = [*self._base.python, "-I", "-S", "-c", PROGRAM]
            await self._builder.open_shop(shop, self._order, busy=busy, program=program)
            yield shop
        finally:
            await shop.close()

    def _work(self, steps: list[list[str]]) -> Work:
        tools = {
            "PATH": f"{Path(self._base.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "npm_config_cache": f"{CACHE}/npm",
            "npm_config_update_notifier": "false",
        }
        return Work(steps=steps, env=self._builder.environment(tools))

    def _packed_source(self, folders_to_fill: list[str], *, linked: bool = False) -> Packed:
        owner = identity(self._order.deployment_id)
        packed = Packed()
        packed.tree(SOURCE[1:], self._source, owner, frozenset({MODULES}))
        if linked:
            packed.link(f"{SOURCE[1:]}/{MODULES}", f"/{MODULES}", owner)
        packed.folder(TEMPORARY[1:], 0, 0o1777)
        for name in (*folders_to_fill, CACHE[1:]):
            packed.folder(name, owner)
        return packed

    def _packed_project(self) -> Packed:
        owner = identity(self._order.deployment_id)
        packed = Packed()
        packed.tree(APP[1:], self._source, owner, frozenset({folders.ARTIFACTS, MODULES, COMPILED}))
        packed.folder(f"{APP[1:]}/{folders.ARTIFACTS}", owner)
        packed.link(f"{APP[1:]}/{MODULES}", f"/{MODULES}", owner)
        packed.folder(TEMPORARY[1:], 0, 0o1777)
        add_users(packed, owner)
        return packed
