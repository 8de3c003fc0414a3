"""Environments: a version's dependencies, installed once for all runs and for every version that asks for the same.

Below the data folder: `snapshots/<sha256>` (the project, unpacked), `environments/<key>/venv`,
`versions/<version>/site` (the project itself, where it is a package), `cache/<deployment>` (uv's and npm's), `pythons`
(those that had to be fetched). Everything appears whole, by a rename. What is built for a Node: node_environments.py.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from crewship.engine import (
    bubblewrap,
    builds,
    dependencies,
    folders,
    node_environments,
    node_projects,
    pythons,
    snapshots,
)
from crewship.engine.builds import Workplace
from crewship.engine.dependencies import Project
from crewship.engine.executor import BuildFailed, BuildOrder
from crewship.engine.node_environments import NodeBuild
from crewship.engine.nodes import Nodes
from crewship.engine.programs import NodeProgram, PythonProgram
from crewship.engine.pythons import Python

BUILD_SECONDS = 15 * 60.0

# Users that builds run as where the server is root: one a deployment, because its cache is its own.
_FIRST_BUILDER = 300_000
_BUILDERS = 65_536


class _Version(msgspec.Struct):
    """What `versions/<version>/version.json` says."""

    environment: str
    site: bool


class LocalBuilder:
    """Builds versions below the folder `data`, in sandboxes where `sandboxed` allows it and the machine can."""

    def __init__(self, data: Path, *, environ: Mapping[str, str] | None = None, sandboxed: bool = True) -> None:
        self.data = data
        self._environ = dict(os.environ if environ is None else environ)
        self._sandboxed = sandboxed
        self.pythons = pythons.Pythons(data / "pythons", self._environ)
        self.nodes = Nodes(self._environ)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._problem: str | None = None
        self._probed = False
        self._probing = asyncio.Lock()

    @property
    def identities(self) -> Path:
        """The folder with the passwd and group files that sandboxes see."""
        return self.data / "identities"

    async def problem(self) -> str | None:
        """Why code cannot be sandboxed here, None if it can. Tried once, by doing it."""
        async with self._probing:
            if not self._probed:
                self._problem = await asyncio.to_thread(self._probe)
                self._probed = True
        return self._problem

    def _probe(self) -> str | None:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        bubblewrap.write_identities(self.identities)
        if not self._sandboxed:
            return "it was switched off"
        return bubblewrap.problem(self.data / "probes", _FIRST_BUILDER - 1 if os.geteuid() == 0 else None)

    def find(self, order: BuildOrder) -> PythonProgram | NodeProgram | None:
        """What was built for this version; None if it was not, or is not whole any more. Reads two small files."""
        if order.framework in node_projects.FRAMEWORKS:
            return node_environments.find(self.data, order)
        try:
            version = msgspec.json.decode(self._version(order).joinpath("version.json").read_bytes(), type=_Version)
            folder = self.data / "environments" / version.environment
            python = msgspec.json.decode(folder.joinpath("python.json").read_bytes(), type=Python)
        except (OSError, msgspec.MsgspecError):
            return None
        built = PythonProgram(
            project=self.data / "snapshots" / order.source_sha256,
            venv=folder / "venv",
            python=python,
            site=self._version(order) / "site" if version.site else None,
        )
        return built if built.project.is_dir() and os.access(python.executable, os.X_OK) else None

    async def build(self, order: BuildOrder) -> AsyncGenerator[str, None]:
        """See Builder.build."""
        if order.framework not in (*dependencies.FRAMEWORKS, *node_projects.FRAMEWORKS):
            raise BuildFailed(f'framework "{order.framework}" is not supported by this executor yet')
        if await asyncio.to_thread(self.find, order) is not None:
            yield "Built already, nothing to do"
            return
        async with self._lock(order.version_id), contextlib.aclosing(self._build(order)) as lines:
            async for line in lines:
                yield line

    async def _build(self, order: BuildOrder) -> AsyncGenerator[str, None]:
        project_folder = self.data / "snapshots" / order.source_sha256
        await asyncio.to_thread(snapshots.unpack, order.snapshot, project_folder)
        build = await (self._for_node if order.framework in node_projects.FRAMEWORKS else self._for_python)(order)
        for line in build.notes:
            yield line
        try:
            async with self._lock(build.key), contextlib.aclosing(build.environment()) as lines:
                async for line in lines:
                    yield line
            async with contextlib.aclosing(build.version()) as lines:
                async for line in lines:
                    yield line
        finally:
            await asyncio.to_thread(folders.remove, build.folder)

    async def _for_python(self, order: BuildOrder) -> "_Build":
        project = await asyncio.to_thread(dependencies.read, self.data / "snapshots" / order.source_sha256)
        python = await self.pythons.find(order.python or project.requires_python)
        key = dependencies.key(project, python, order.deployment_id, order.source_sha256)
        return _Build(self, order, project, python, key, confined=await self.problem() is None)

    async def _for_node(self, order: BuildOrder) -> NodeBuild:
        project = await asyncio.to_thread(node_projects.read, self.data / "snapshots" / order.source_sha256)
        node = await self.nodes.find(order.node, project.engines)
        guard = await self.pythons.find(None)
        return NodeBuild(self.data, self.workplace, order, project, node, guard, confined=await self.problem() is None)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _version(self, order: BuildOrder) -> Path:
        return self.data / "versions" / order.version_id

    def workplace(
        self,
        order: BuildOrder,
        build: Path,
        made: Sequence[str],
        reads: Sequence[Path],
        tools: Mapping[str, str],
        *,
        confined: bool,
        deadline: float,
        leave_out: frozenset[str] = frozenset(),
    ) -> Workplace:
        """A place for a build's steps until `deadline` (of the loop's clock), in the folder `build`. Blocks.

        `made` names the places that the steps fill; `reads` are the folders of the host that they need; `leave_out` are
        names at the project's top that they do not get.
        """
        given = builds.settings(self._environ)
        cache = self.data / "cache" / order.deployment_id
        places = {name: build / name for name in ("source", *made, "tmp")} | {"cache": cache}
        identity = _builder(order.deployment_id) if confined and os.geteuid() == 0 else None
        for name, place in places.items():
            if name != "source":
                place.mkdir(parents=True, exist_ok=True, mode=0o755)
        folders.copy(self.data / "snapshots" / order.source_sha256, places["source"], identity, leave_out)
        if identity is not None:
            for place in places.values():
                os.chown(place, identity, identity)
        return Workplace(
            places=places,
            reads=reads,
            identities=self.identities,
            identity=identity,
            confined=confined,
            environ=given,
            tools=tools,
            deadline=deadline,
        )


def _builder(deployment_id: str) -> int:
    digest = hashlib.sha256(deployment_id.encode()).digest()
    return _FIRST_BUILDER + int.from_bytes(digest[:4]) % _BUILDERS


def install_steps(project: Project, python: str, path: Callable[[str], str]) -> list[list[str]]:
    """The arguments of uv, step by step, that make the environment at `path("venv")` with the interpreter `python`.

    They are run in the project's folder; `path("tmp")` is theirs to write to.
    """
    quiet = ["--no-progress", "--color", "never"]
    inside = ["--python", f"{path('venv')}/bin/python"]
    venv = ["venv", *quiet, "--quiet", "--relocatable", "--allow-existing", "--no-project", "--python", python]
    steps = [[*venv, path("venv")]]
    install = ["pip", "install", *quiet, *inside, "--compile-bytecode"]
    match project.source:
        case "lock":
            exported = f"{path('tmp')}/exported.txt"
            export = ["export", *quiet, "--quiet", *inside, "--frozen", "--no-emit-project", "--no-dev"]
            steps.append([*export, "--format", "requirements-txt", "--output-file", exported])
            steps.append([*install, "--requirements", exported])
        case "pyproject":
            steps.append([*install, "--requirements", "pyproject.toml"])
        case "requirements":
            steps.append([*install, "--requirements", "requirements.txt"])
    return steps


class _Build:
    """One build under way, in a folder of its own that is removed whatever happens."""

    def __init__(
        self, builder: LocalBuilder, order: BuildOrder, project: Project, python: Python, key: str, *, confined: bool
    ) -> None:
        self.folder = builder.data / "builds" / f"{order.version_id}-{secrets.token_hex(4)}"
        self._builder, self._order, self._project, self._python = builder, order, project, python
        self.key, self._confined = key, confined
        self.notes = [f"Python {python.version}"]
        self._target = builder.data / "environments" / key
        self._workplace: Workplace | None = None

    async def environment(self) -> AsyncGenerator[str, None]:
        """Make the environment, unless it is there."""
        if await asyncio.to_thread(self._target.is_dir):
            yield "Dependencies unchanged, reused"
            return
        work = await self._work()
        yield f"Installing dependencies ({_NAMES[self._project.source]})"
        for arguments in install_steps(self._project, self._python.executable, work.path):
            async with contextlib.aclosing(work.uv(*arguments)) as lines:
                async for line in lines:
                    yield line
        await asyncio.to_thread(self._check_framework)
        await asyncio.to_thread(self._settle)

    async def version(self) -> AsyncGenerator[str, None]:
        """Package the project if it is a package, look at its entrypoint, and note what the version consists of."""
        site = False
        if self._project.packaged:
            work = await self._work()
            install = ["pip", "install", "--no-progress", "--color", "never", "--no-deps", "--compile-bytecode"]
            place = ["--python", self._python.executable, "--target", work.path("site"), work.path("source")]
            try:
                async with contextlib.aclosing(work.uv(*install, *place)) as lines:
                    async for line in lines:
                        yield line
                site = True
            except BuildFailed as failure:
                yield f"warning: the project was not installed as a package, its files are used as they are: {failure}"
        for warning in await asyncio.to_thread(self._check_entrypoint, site):
            yield warning
        await asyncio.to_thread(self._note, site)

    async def _work(self) -> Workplace:
        if self._workplace is None:
            make = self._builder.workplace
            deadline = asyncio.get_running_loop().time() + BUILD_SECONDS
            self._workplace = await asyncio.to_thread(
                make,
                self._order,
                self.folder,
                ("venv", "site"),
                [Path(self._python.prefix)],
                _TOOLS,
                confined=self._confined,
                deadline=deadline,
            )
        return self._workplace

    def _check_framework(self) -> None:
        package = dependencies.FRAMEWORKS[self._order.framework]
        if not any(self._packages(self.folder / "venv").glob(f"{package}-*.dist-info")):
            files = "pyproject.toml or requirements.txt"
            raise BuildFailed(f"{package} is not among the dependencies: add it to {files}")

    def _check_entrypoint(self, site: bool) -> list[str]:
        project = self._builder.data / "snapshots" / self._order.source_sha256
        packages = self._packages(self._target / "venv")
        places = [project, project / "src", *([self.folder / "site"] if site else []), packages]
        return dependencies.check_entrypoint(self._order.entrypoint, places)

    def _packages(self, venv: Path) -> Path:
        return next(venv.glob("lib/python*/site-packages"), venv)

    def _settle(self) -> None:
        """Let the environment appear; if another server was quicker, its own stays."""
        ready = self.folder / "environment"
        ready.mkdir()
        folders.open_to_all(self.folder / "venv")
        (self.folder / "venv").rename(ready / "venv")
        (self.folder / "venv").mkdir()  # the steps to come see a folder there as well
        (ready / "python.json").write_bytes(msgspec.json.encode(self._python))
        folders.appear(ready, self._target)

    def _note(self, site: bool) -> None:
        ready = self.folder / "version"
        ready.mkdir(parents=True)
        if site:
            folders.open_to_all(self.folder / "site")
            (self.folder / "site").rename(ready / "site")
        (ready / "version.json").write_bytes(msgspec.json.encode(_Version(environment=self.key, site=site)))
        target = self._builder.data / "versions" / self._order.version_id
        if target.exists():  # of a build whose environment is gone
            shutil.rmtree(target)
        folders.appear(ready, target)


_TOOLS = {
    "PATH": "{venv}/bin:/usr/local/bin:/usr/bin:/bin",
    "VIRTUAL_ENV": "{venv}",
    "UV_CACHE_DIR": "{cache}",
    "UV_LINK_MODE": "copy",  # a hard link would let a later build change what stands
    "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
_NAMES = {
    "lock": "uv.lock",
    "pyproject": "pyproject.toml",
    "requirements": "requirements.txt",
    "none": "the project names none",
}
