"""What a version for a Node needs on this machine: `environments/<key>/node_modules`, with what compiles TypeScript
beside it, and `versions/<version>/compiled`, the project's own files where those have to be compiled.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import msgspec

from crewship.engine import folders, node_projects
from crewship.engine.builds import Workplace
from crewship.engine.executor import BuildFailed, BuildOrder
from crewship.engine.node_projects import SOURCES, NodeProject
from crewship.engine.nodes import Node
from crewship.engine.programs import MODULES, NodeProgram
from crewship.engine.pythons import Python

BUILD_SECONDS = 15 * 60.0
BUILD = Path(__file__).parent.parent / "runner" / "node"  # what a build does in a Node

_APP = "/app"  # where a run finds the project
_TOOLS = {"npm_config_cache": "{cache}/npm", "npm_config_update_notifier": "false"}


class _Environment(msgspec.Struct):
    """What `environments/<key>/node.json` says."""

    node: Node
    python: Python


class _Version(msgspec.Struct):
    """What `versions/<version>/version.json` says."""

    environment: str
    compiled: bool


def find(data: Path, order: BuildOrder) -> NodeProgram | None:
    """What was built for this version; None if it was not, or is not whole any more. Reads two small files."""
    place = data / "versions" / order.version_id
    try:
        version = msgspec.json.decode((place / "version.json").read_bytes(), type=_Version)
        folder = data / "environments" / version.environment
        environment = msgspec.json.decode((folder / "node.json").read_bytes(), type=_Environment)
    except (OSError, msgspec.MsgspecError):
        return None
    built = NodeProgram(
        project=data / "snapshots" / order.source_sha256,
        modules=folder / MODULES,
        node=environment.node,
        python=environment.python,
        compiled=place / "compiled" if version.compiled else None,
    )
    programs = (environment.node.executable, environment.python.executable)
    return built if built.project.is_dir() and all(os.access(program, os.X_OK) for program in programs) else None


class NodeBuild:
    """One build under way, in a folder of its own that whoever builds removes. `workplace` is the builder's."""

    def __init__(
        self,
        data: Path,
        workplace: Callable[..., Workplace],
        order: BuildOrder,
        project: NodeProject,
        node: Node,
        python: Python,
        *,
        confined: bool,
    ) -> None:
        self.folder = data / "builds" / f"{order.version_id}-{secrets.token_hex(4)}"
        self.notes = [f"Node {node.version}", *node_projects.notes(project)]
        self.key = node_projects.key(project, node.version, node.executable, order.deployment_id, order.source_sha256)
        self._data, self._make, self._order, self._project = data, workplace, order, project
        self._node, self._python, self._confined = node, python, confined
        self._target = data / "environments" / self.key
        self._deadline = asyncio.get_running_loop().time() + BUILD_SECONDS

    async def environment(self) -> AsyncGenerator[str, None]:
        """Install the packages, unless they are there."""
        if await asyncio.to_thread(self._target.is_dir):
            yield "Dependencies unchanged, reused"
            return
        work = await self._work(self.folder, ("tools",))
        yield f"Installing dependencies ({SOURCES[self._project.source]})"
        npm = [self._node.executable, self._node.npm]
        for step in node_projects.install_steps(self._project, npm, work.path("tools")):
            async with contextlib.aclosing(work.run(step, "npm")) as lines:
                async for line in lines:
                    yield line
        settle = self._script("settle", work.path("source"), _APP)
        async with contextlib.aclosing(work.run(settle, "settling the packages")) as lines:
            async for line in lines:
                yield line
        await asyncio.to_thread(self._settle)

    async def version(self) -> AsyncGenerator[str, None]:
        """Look at the entrypoint, compile it if it has to be, and note what the version consists of."""
        entrypoint = self._order.entrypoint
        project = self._data / "snapshots" / self._order.source_sha256
        await asyncio.to_thread(node_projects.check_entrypoint, entrypoint, project)
        compiled = node_projects.is_compiled(entrypoint)
        folder = self.folder / "compiling"
        if compiled:
            work = await self._work(folder, ("compiled",), self._target)
            # tsconfig.json may build on one of a package.
            await asyncio.to_thread((folder / "source" / MODULES).symlink_to, self._target / MODULES)
            tools = str(self._target / "tools")
            program = self._script("compile", work.path("source"), entrypoint, tools, work.path("compiled"))
            async with contextlib.aclosing(work.run(program, "compiling")) as lines:
                async for line in lines:
                    yield line
        await asyncio.to_thread(self._note, folder / "compiled" if compiled else None)

    def _script(self, *arguments: str) -> list[str]:
        return [self._node.executable, str(BUILD / "build.mjs"), *arguments]

    async def _work(self, folder: Path, made: tuple[str, ...], *reads: Path) -> Workplace:
        path = f"{Path(self._node.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        needed = [Path(self._node.prefix), BUILD, *reads]
        return await asyncio.to_thread(
            self._make,
            self._order,
            folder,
            made,
            needed,
            {**_TOOLS, "PATH": path},
            confined=self._confined,
            deadline=self._deadline,
            leave_out=frozenset({MODULES}),
        )

    def _settle(self) -> None:
        """Let the environment appear; if another server was quicker, its own stays."""
        ready = self.folder / "environment"
        ready.mkdir()
        if (self.folder / "source" / MODULES).is_symlink():  # an install script of the project's made it one
            raise BuildFailed(f"{MODULES} is a link: what is installed must lie in the project's folder")
        for place, name in ((self.folder / "source" / MODULES, MODULES), (self.folder / "tools", "tools")):
            folders.open_to_all(place)
            place.rename(ready / name)
        told = _Environment(node=self._node, python=self._python)
        (ready / "node.json").write_bytes(msgspec.json.encode(told))
        folders.appear(ready, self._target)

    def _note(self, compiled: Path | None) -> None:
        ready = self.folder / "version"
        ready.mkdir(parents=True)
        if compiled is not None:
            folders.open_to_all(compiled)
            compiled.rename(ready / "compiled")
        told = _Version(environment=self.key, compiled=compiled is not None)
        (ready / "version.json").write_bytes(msgspec.json.encode(told))
        target = self._data / "versions" / self._order.version_id
        if target.exists():  # of a build whose environment is gone
            shutil.rmtree(target)
        folders.appear(ready, target)
