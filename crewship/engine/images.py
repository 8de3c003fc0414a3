"""Images: one a version, on a layer of its dependencies that all versions with the same ones share.

    base (python:3.X-slim, or the operator's)
    └─ runner        /runner: the guard and the frameworks' host, root's
       └─ environment   /venv: the dependencies, by the deployment's own user
          └─ version       /app: the project; /site: the project as a package

A change of the source alone makes the last one anew, which runs no program at all unless the project is a package.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import uv

from crewship.engine import (
    builds,
    dependencies,
    docker_bases,
    docker_network,
    docker_prune,
    docker_state,
    folders,
    node_projects,
    snapshots,
)
from crewship.engine.dependencies import Project
from crewship.engine.docker_bases import Base, Bases, Image
from crewship.engine.docker_engine import Engine, EngineProblem
from crewship.engine.docker_network import Network
from crewship.engine.docker_owners import add_users, config, identity
from crewship.engine.docker_tar import Packed
from crewship.engine.docker_workshop import CACHE, SOURCE, TEMPORARY, UV, Missing, Work, Workshop
from crewship.engine.environments import BUILD_SECONDS, install_steps
from crewship.engine.executor import BuildFailed, BuildOrder
from crewship.engine.node_images import NodeBases, NodeImageBuild
from crewship.engine.pythons import Python

VENV, SITE, APP = "/venv", "/site", "/app"


class DockerBuilder:
    """See Builder. Works in the folder `data`; `environ` is the operator's environment.

    `base_images` names base images by profile and Python version: {("slim", "3.11"): "registry/python:3.11"};
    `node_images` those by major version of Node.
    `network` is the one that builds are in, closed as that of runs is, but for the operator's package indexes.
    """

    def __init__(
        self,
        engine: Engine,
        data: Path,
        server_id: str,
        *,
        base_images: Mapping[tuple[str, str], str] | None = None,
        node_images: Mapping[tuple[str, str], str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.engine, self._data, self._server_id = engine, data, server_id
        self._environ = dict(os.environ if environ is None else environ)
        self._repository = f"crewship/{''.join(c if c.isalnum() else '-' for c in server_id.lower()).strip('-') or 'x'}"
        self.bases = Bases(engine, base_images or {}, server_id, self._repository)
        self.node_bases = NodeBases(self.bases, node_images or {})
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.network = Network(engine, server_id, "builds")

    async def open(self) -> None:
        """Make the network of the builds. The engine is open. Raises EngineAway, EngineRefused."""
        named = [value for value in builds.settings(self._environ).values() if "://" in value]
        urls = [url for value in named for url in value.replace(",", " ").split()]
        allow = await asyncio.to_thread(docker_network.addresses_of, urls)
        self.network = Network(self.engine, self._server_id, "builds", allow=allow)
        await self.network.open()

    def image(self, kind: str, name: str) -> str:
        """The name of an image of ours: of a `version` by its id, of an `environment` by its key."""
        return f"{self._repository}/{kind}:{name}"

    async def find(self, order: BuildOrder) -> Image | None:
        """The image of a version, with this server's runner in it; None if it was not built, or is gone."""
        name = self.image("version", order.version_id)
        async with self._lock(f"find {order.version_id}"):
            found = await docker_bases.inspect(self.engine, name)
            if found is None or found.labels.get(docker_state.RUNNER) == self.bases.runner:
                return found
            bases = self.node_bases if docker_state.NODE in found.labels else self.bases
            await bases.with_runner(found.id, name, found.labels, config(order))  # it has a former release's
            return await docker_bases.inspect(self.engine, name)

    async def build(self, order: BuildOrder) -> AsyncGenerator[str, None]:
        """See Builder.build."""
        if order.framework not in (*dependencies.FRAMEWORKS, *node_projects.FRAMEWORKS):
            raise BuildFailed(f'framework "{order.framework}" is not supported by this executor yet')
        try:
            async with self._lock(order.version_id):
                if await docker_bases.inspect(self.engine, self.image("version", order.version_id)):
                    yield "Built already, nothing to do"
                    return
                async with contextlib.aclosing(self._build(order)) as lines:
                    async for line in lines:
                        yield line
        except EngineProblem as problem:
            raise BuildFailed(f"the Docker engine did not see the build through: {problem}") from problem

    async def _build(self, order: BuildOrder) -> AsyncGenerator[str, None]:
        folder = self._data / "builds" / f"{order.version_id}-{secrets.token_hex(4)}"
        source = folder / "source"
        unpacking = asyncio.ensure_future(asyncio.to_thread(snapshots.unpack, order.snapshot, source))
        try:
            await asyncio.shield(unpacking)
            prepare = self._for_node if order.framework in node_projects.FRAMEWORKS else self._for_python
            build = await prepare(order, source)
            for line in build.notes:
                yield line
            async with self._lock(build.key), contextlib.aclosing(build.environment()) as lines:
                async for line in lines:
                    yield line
            async with contextlib.aclosing(build.version()) as lines:
                async for line in lines:
                    yield line
        finally:
            await asyncio.gather(unpacking, return_exceptions=True)  # a thread that cannot be stopped
            await asyncio.to_thread(folders.remove, folder)

    async def _for_python(self, order: BuildOrder, source: Path) -> "_Build":
        project = await asyncio.to_thread(dependencies.read, source)
        base = await self.bases.get(order.python or project.requires_python, order.profile)
        python = Python(executable=base.base_id, prefix="", version=base.python)
        key = dependencies.key(project, python, order.deployment_id, order.source_sha256)
        return _Build(self, order, project, base, key, source)

    async def _for_node(self, order: BuildOrder, source: Path) -> NodeImageBuild:
        project = await asyncio.to_thread(node_projects.read, source)
        base = await self.node_bases.get(order.node, project.engines, order.profile)
        deadline = asyncio.get_running_loop().time() + BUILD_SECONDS
        return NodeImageBuild(self, order, project, base, source, deadline)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def open_shop(
        self, shop: Workshop, order: BuildOrder, *, busy: bool, program: Sequence[str] | None = None
    ) -> None:
        """Open a workshop as the deployment's user; `busy` where programs will run that need packages.

        `program` is the workshop's own where the image's `python3` cannot be it.
        """
        reads: dict[Path, str] = {}
        if busy:
            reads = {path: str(path) for path in builds.named_files(builds.settings(self._environ))}
            reads[Path(uv.find_uv_bin())] = UV
        network = self.network.name if busy else "none"
        more = {} if program is None else {"program": program}
        await shop.open(identity=identity(order.deployment_id), network=network, reads=reads, **more)

    def environment(self, tools: Mapping[str, str]) -> dict[str, str]:
        """The environment of a build's steps: the operator's settings, and that of the `tools`."""
        place = {"HOME": TEMPORARY, "TMPDIR": TEMPORARY, "LANG": "C.UTF-8", "NO_COLOR": "1"}
        return {**builds.settings(self._environ), **place, **tools}

    def work(self, steps: list[list[str]], require: str = "") -> Work:
        """Steps of uv with the environment that they need."""
        return Work(steps=[[UV, *step] for step in steps], env=self.environment(_TOOLS), require=require)

    def shop(self, image: str, order: BuildOrder) -> Workshop:
        """A workshop for this order, not open yet."""
        labels = {docker_state.SERVER: self._server_id, docker_state.DEPLOYMENT: order.deployment_id}
        return Workshop(self.engine, image, labels)

    async def prune(self, keep_version_ids: set[str], young: float = docker_prune.YOUNG_SECONDS) -> list[str]:
        """Remove images of ours that no version in `keep_version_ids` needs; the names of those that went.

        Keep what is active, what can be rolled back to, and what runs. The engine itself refuses to remove what a
        container uses or another image stands on; what is younger than `young` seconds stays as well.
        """
        return await docker_prune.prune(self.engine, self._server_id, self.bases.runner, keep_version_ids, young)


class _Build:
    """One build under way."""

    def __init__(
        self, builder: DockerBuilder, order: BuildOrder, project: Project, base: Base, key: str, source: Path
    ) -> None:
        self._builder, self._order, self._project, self._base = builder, order, project, base
        self.key, self._source = key, source
        self.notes = [f"Python {base.python}"]
        self._owner = identity(order.deployment_id)
        self._environment = builder.image("environment", key)
        self._deadline = asyncio.get_running_loop().time() + BUILD_SECONDS

    async def environment(self) -> AsyncGenerator[str, None]:
        """Make the environment's image, unless it is there."""
        if await docker_bases.inspect(self._builder.engine, self._environment):
            yield "Dependencies unchanged, reused"
            return
        yield f"Installing dependencies ({_NAMES[self._project.source]})"
        shop = self._builder.shop(self._base.image, self._order)
        try:
            await self._builder.open_shop(shop, self._order, busy=True)
            await shop.put(await asyncio.to_thread(self._packed_source, ["venv"]))
            steps = install_steps(self._project, self._base.executable, _PLACES.__getitem__)
            work = self._builder.work(steps, dependencies.FRAMEWORKS[self._order.framework])
            async with contextlib.aclosing(shop.run(work, self._deadline)) as lines:
                async for line in lines:
                    yield line
            labels = {docker_state.KIND: "environment", docker_state.ENVIRONMENT: self.key}
            await shop.commit(self._environment, labels)
        except Missing:
            package = dependencies.FRAMEWORKS[self._order.framework]
            files = "pyproject.toml or requirements.txt"
            raise BuildFailed(f"{package} is not among the dependencies: add it to {files}") from None
        finally:
            await shop.close()

    async def version(self) -> AsyncGenerator[str, None]:
        """Put the project on top, packaged if it is a package, look at its entrypoint, and make the version's image."""
        shop = self._builder.shop(self._environment, self._order)
        try:
            await self._builder.open_shop(shop, self._order, busy=self._project.packaged)
            if self._project.packaged:
                await shop.put(await asyncio.to_thread(self._packed_source, ["site"]))
                async with contextlib.aclosing(self._package(shop)) as lines:
                    async for line in lines:
                        yield line
            await shop.put(await asyncio.to_thread(self._packed_project))
            for warning in await self._check_entrypoint(shop):
                yield warning
            labels = {
                docker_state.KIND: "version",
                docker_state.VERSION: self._order.version_id,
                docker_state.ENVIRONMENT: self.key,
                docker_state.SITE: SITE if self._project.packaged else "",
            }
            await shop.commit(self._builder.image("version", self._order.version_id), labels, config(self._order))
        finally:
            await shop.close()

    async def _package(self, shop: Workshop) -> AsyncGenerator[str, None]:
        install = ["pip", "install", "--no-progress", "--color", "never", "--no-deps", "--compile-bytecode"]
        place = ["--python", f"{VENV}/bin/python", "--target", SITE, SOURCE]
        work = self._builder.work([[*install, *place]])
        try:
            async with contextlib.aclosing(shop.run(work, self._deadline)) as lines:
                async for line in lines:
                    yield line
        except BuildFailed as failure:
            yield f"warning: the project was not installed as a package, its files are used as they are: {failure}"

    async def _check_entrypoint(self, shop: Workshop) -> list[str]:
        """Warnings. What is not among the project's files may be a package that is installed in the image."""
        entrypoint = self._order.entrypoint
        try:
            places = [self._source, self._source / "src"]
            return await asyncio.to_thread(dependencies.check_entrypoint, entrypoint, places)
        except BuildFailed:
            module = entrypoint.rpartition(":")[0].replace(".", "/")
            packages = f"{VENV}/lib/python{self._base.python}/site-packages"
            candidates = [f"{place}/{module}{end}" for place in (SITE, packages) for end in ("", ".py")]
            if ":" in entrypoint and not module.endswith("/py"):
                for candidate in candidates:
                    if await shop.holds(candidate):
                        return []
            raise

    def _packed_source(self, folders_to_fill: list[str]) -> Packed:
        packed = Packed()
        packed.tree(SOURCE[1:], self._source, self._owner)
        packed.folder(TEMPORARY[1:], 0, 0o1777)
        for name in (*folders_to_fill, CACHE[1:]):
            packed.folder(name, self._owner)
        return packed

    def _packed_project(self) -> Packed:
        packed = Packed()
        packed.tree(APP[1:], self._source, self._owner, frozenset({folders.ARTIFACTS}))
        packed.folder(f"{APP[1:]}/{folders.ARTIFACTS}", self._owner)
        packed.folder(TEMPORARY[1:], 0, 0o1777)
        add_users(packed, self._owner)
        return packed


_TOOLS = {
    "PATH": f"{VENV}/bin:/usr/local/bin:/usr/bin:/bin",
    "VIRTUAL_ENV": VENV,
    "UV_CACHE_DIR": CACHE,
    "UV_LINK_MODE": "copy",
    "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
_PLACES = {"venv": VENV, "tmp": TEMPORARY}
_NAMES = {
    "lock": "uv.lock",
    "pyproject": "pyproject.toml",
    "requirements": "requirements.txt",
    "none": "the project names none",
}
