"""Runs in Docker: each in a container of its own, which goes on when the server ends.

The guard is the container's first process. It reads its spec from the attached standard input, writes its journal to
standard output, which the engine keeps, and takes SIGTERM for the wish to stop. Nothing secret stands in a container's
configuration. What belongs to which server and run is written on the containers and volumes, so nothing else has to be
kept to find them again.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from crewship.engine import docker_probe, docker_state, folders, protocol
from crewship.engine.docker_bases import Image
from crewship.engine.docker_engine import Engine, EngineAway, EngineProblem, EngineRefused, Input, frames
from crewship.engine.docker_journal import JournalReader
from crewship.engine.docker_network import Network
from crewship.engine.docker_owners import identity
from crewship.engine.docker_sandbox import DockerSandbox
from crewship.engine.executor import WARM, BuildFailed, BuildOrder, Launch, LaunchFailed, WarmSandbox
from crewship.engine.images import APP, SITE, VENV, DockerBuilder
from crewship.engine.programs import MODULES
from crewship.engine.rebuilding import Rebuilding
from crewship.engine.undoing import undone

_IMPORT = 120.0  # seconds that the import of a project may take while it gets warm
_BEGIN = 30.0  # seconds that a container may take until its guard says its first word
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_TEMPORARY = "/tmp"  # noqa: S108 - a place inside

# What a container may use beyond the run's own limits: the guard lives in it too, and at a limit that is passed slowly
# it is the guard that is to see it, because it can say more about it than the kernel.
_SPARE_MEMORY = 64 * 1024 * 1024
_NO_CORES = {"Name": "core", "Soft": 0, "Hard": 0}

# The journal must never be rotated away, nor lines be dropped for haste, whatever the engine's own defaults are. The
# guard keeps the budget of what is written.
_LOG = {
    "Type": "json-file",
    "Config": {"max-size": "1000g", "max-file": "1", "compress": "false", "mode": "blocking"},
}

logger = structlog.get_logger(__name__)


class WarmContainer:
    """See WarmSandbox: a container that gets the run's name when it is called."""

    def __init__(self, engine: Engine, name: str, container: str, given: Input) -> None:
        self.name = name
        self.container = container
        self.input = given
        self._engine = engine

    async def ended(self) -> None:
        """See WarmSandbox.ended."""
        async with contextlib.aclosing(JournalReader(self._engine, self.container, 0).lines()) as batches:
            async for _ in batches:
                pass

    async def discard(self) -> None:
        """See WarmSandbox.discard."""
        await self.input.close()
        with contextlib.suppress(EngineAway):  # the next server clears it away
            await docker_state.discard(self._engine, self.container)


class DockerExecutor:
    """See Executor. `data` is the server's folder, `api_port` the port that runs may reach on the gateway, `allow` what
    else of the closed ranges (see docker_network.allowed); without `prove` it is not tried whether the rules hold.

    After `open`: `warning` says what is not closed to runs that should be; `gateway` is the address at which runs find
    the API, if the server listens there; `limits_by` what bounds their memory.
    """

    def __init__(
        self,
        engine: Engine,
        builder: DockerBuilder,
        data: Path,
        server_id: str,
        *,
        api_port: int | None = None,
        allow: Sequence[str] = (),
        prove: bool = True,
    ) -> None:
        self.warning: str | None = None
        self.limits_by = "docker"
        self.network = Network(engine, server_id, "runs", api_port=api_port, allow=allow)
        self._prove = prove
        self._engine, self._builder, self._server_id = engine, builder, server_id
        self._rebuilding = Rebuilding(builder, self._is_built)
        self._files = data / "collected"

    @property
    def gateway(self) -> str:
        """The host's address on the network of the runs."""
        return self.network.gateway

    async def open(self) -> None:
        """See Executor.open. Opens the engine, too; raises EngineAway where there is none."""
        info = await self._engine.open()
        self.limits_by = f"docker (cgroup v{info.get('CgroupVersion') or 1})"
        try:
            await self.network.open()
            await self._builder.open()
        except EngineRefused as refused:
            raise EngineAway(f"the Docker engine makes no network for runs: {refused}") from refused
        await asyncio.to_thread(folders.remove, self._files)
        await self._sweep()
        self.warning = await self._weakness()

    async def _weakness(self) -> str | None:
        problem = self.network.problem
        if problem is None and self._prove:
            try:
                base = await self._builder.bases.get(None, "slim")
            except BuildFailed as failure:
                problem = f"nothing could be tried: {failure}"
            else:
                problem = await docker_probe.problem(self._engine, self.network, base.image)
        if problem is None:
            return None
        return (
            f"runs may reach what listens on this machine and on its network, because rules do not hold ({problem}): "
            "close them by a firewall of your own"
        )

    async def _sweep(self) -> None:
        """Remove what builds, probes and launches that broke off with a former server have left."""
        for container in await self._containers():
            labels = container["Labels"]
            waited = (self._run_of(container) or "").startswith(WARM)
            if labels.get(docker_state.KIND) != "run" or container["State"] == "created" or waited:
                await docker_state.discard(self._engine, container["Id"])
        query = {"filters": {**docker_state.filters(server_id=self._server_id), "dangling": ["true"]}}
        found = await self._engine.json("GET", "volumes", query=query)
        for volume in found["Volumes"] or []:
            with contextlib.suppress(EngineRefused):  # somebody uses it after all
                await self._engine.json("DELETE", f"volumes/{volume['Name']}")

    async def _containers(self) -> list[dict[str, Any]]:
        query = {"all": True, "filters": docker_state.filters(server_id=self._server_id)}
        found: list[dict[str, Any]] = await self._engine.json("GET", "containers/json", query=query)
        return found

    async def close(self) -> None:
        """See Executor.close."""
        await self._engine.close()

    async def prepare(self, launch: Launch) -> WarmContainer:
        """See Executor.prepare."""
        await self._ensure_built(launch.order)
        warm = await undone(self._getting_warm(launch), WarmContainer.discard)
        try:
            await self._heard(warm.container, "warm", _IMPORT)
        except BaseException as problem:
            await warm.discard()
            if isinstance(problem, EngineProblem):
                raise LaunchFailed(f"the container did not start: {problem}") from problem
            raise
        return warm

    async def _getting_warm(self, launch: Launch) -> WarmContainer:
        try:
            container, image = await self._created(launch, warm=True)
            try:
                given = await self._engine.attached(container)
                await self._engine.json("POST", f"containers/{container}/start")
                await given.write(msgspec.json.encode(_spec(launch, image)) + b"\n")
            except BaseException:
                await docker_state.discard(self._engine, container)
                raise
        except (EngineProblem, BuildFailed) as problem:
            raise LaunchFailed(f"the container did not start: {problem}") from problem
        return WarmContainer(self._engine, launch.run_id, container, given)

    async def launch(self, launch: Launch, warm: WarmSandbox | None = None) -> DockerSandbox:
        """See Executor.launch."""
        if isinstance(warm, WarmContainer):
            return await undone(self._call(launch, warm), DockerSandbox.remove)
        await self._ensure_built(launch.order)
        return await undone(self._launch(launch), DockerSandbox.remove)

    async def _call(self, launch: Launch, warm: WarmContainer) -> DockerSandbox:
        """Make a warm container this run's. It bears the run's name first, so that a next server finds it."""
        try:
            query = {"name": self._name(launch.run_id)}
            await self._engine.json("POST", f"containers/{warm.container}/rename", query=query)
            await warm.input.write(msgspec.json.encode(launch.call))
            await warm.input.close()
            await self._heard(warm.container, "ready", _BEGIN)
        except (EngineProblem, LaunchFailed) as problem:
            await warm.discard()
            raise LaunchFailed(f"the warm container did not take the run: {problem}") from problem
        return self._sandbox(launch.run_id, warm.container)

    async def _ensure_built(self, order: BuildOrder) -> None:
        try:
            await self._rebuilding.ensure(order)
        except (EngineProblem, BuildFailed) as problem:
            raise LaunchFailed(f"the container did not start: {problem}") from problem

    async def _is_built(self, order: BuildOrder) -> bool:
        return await self._builder.find(order) is not None

    async def _launch(self, launch: Launch) -> DockerSandbox:
        try:
            container, image = await self._created(launch)
            try:
                await self._start(launch, image, container)
            except BaseException:
                await docker_state.discard(self._engine, container)
                raise
        except (EngineProblem, BuildFailed) as problem:
            raise LaunchFailed(f"the container did not start: {problem}") from problem
        return self._sandbox(launch.run_id, container)

    async def _created(self, launch: Launch, *, warm: bool = False) -> tuple[str, Image]:
        if not _NAME.fullmatch(launch.run_id):
            raise LaunchFailed(f"not a run's id: {launch.run_id!r}")
        image = await self._builder.find(launch.order)
        if image is None:
            raise LaunchFailed(f"version {launch.order.version_id} is not built on this Docker engine")
        return await self._create(launch, image, warm=warm), image

    async def _create(self, launch: Launch, image: Image, *, warm: bool) -> str:
        body = configuration(launch, image, self._server_id, self.network.name, warm=warm)
        try:
            query = {"name": self._name(launch.run_id)}
            made: dict[str, Any] = await self._engine.json("POST", "containers/create", query=query, body=body)
        except EngineRefused as refused:
            if refused.status == 409:
                raise LaunchFailed(f"run {launch.run_id} was started before") from refused
            raise
        return str(made["Id"])

    async def _start(self, launch: Launch, image: Image, container: str) -> None:
        async with self._engine.fed(container, msgspec.json.encode(_spec(launch, image))):
            await self._engine.json("POST", f"containers/{container}/start")
        if await self._first_word(container) is None:
            said = await self._complaint(container)
            raise LaunchFailed(f"the container did not start: {said or 'its first process ended without a word'}")

    async def _first_word(self, container: str) -> str | None:
        """Wait for the guard's first line: its type; None if there never is one."""
        async with contextlib.aclosing(self._messages(container, _BEGIN)) as messages:
            async for message in messages:
                return str(message.__struct_config__.tag)
        return None

    async def _heard(self, container: str, word: str, seconds: float) -> None:
        """Return when the journal holds a line of that type. Raises LaunchFailed with the reason if it never will."""
        last = ""
        async with contextlib.aclosing(self._messages(container, seconds)) as messages:
            async for message in messages:
                if message.__struct_config__.tag == word:
                    return
                if isinstance(message, protocol.Failure):
                    last = message.error
                elif isinstance(message, protocol.Exit):
                    last = last or message.message or "its process ended"
        raise LaunchFailed(last or await self._complaint(container) or f"nothing was heard of it for {seconds:g} s")

    async def _messages(self, container: str, seconds: float) -> AsyncGenerator[protocol.Message, None]:
        """What the journal says, from its beginning, for so many seconds."""
        reader = JournalReader(self._engine, container, 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), contextlib.aclosing(reader.lines()) as batches:
                async for batch in batches:
                    for line in batch:
                        yield protocol.parse(line).message

    async def _complaint(self, container: str) -> str:
        query = {"stdout": False, "stderr": True, "tail": "20"}
        said = b""
        async with self._engine.stream(f"containers/{container}/logs", query) as pieces:
            async for batch in frames(pieces):
                said += b"".join(data for _, data in batch)
        return said.decode(errors="replace").strip()[-500:]

    def _name(self, run_id: str) -> str:
        return f"{self.network.name}-{run_id}"

    def _sandbox(self, run_id: str, container: str) -> DockerSandbox:
        return DockerSandbox(self._engine, run_id, container, self._files / run_id)

    async def find(self, run_id: str) -> DockerSandbox | None:
        """See Executor.find."""
        if not _NAME.fullmatch(run_id):
            return None
        found = await docker_state.state(self._engine, self._name(run_id))
        if found is None or found.labels.get(docker_state.SERVER) != self._server_id:
            return None
        # Never started, or the server died before the spec had gone in: then the guard is not ready, and says so.
        with contextlib.suppress(LaunchFailed):
            if found.status != "created":
                await self._heard(found.id, "ready", _BEGIN)
                return self._sandbox(run_id, found.id)
        await docker_state.discard(self._engine, found.id)
        return None

    async def held(self) -> list[str]:
        """See Executor.held."""
        held = [self._run_of(container) for container in await self._containers()]
        return sorted(run_id for run_id in held if run_id is not None and not run_id.startswith(WARM))

    def _run_of(self, container: dict[str, Any]) -> str | None:
        """The run that a container has: its name says it, since labels cannot change when a warm one is called."""
        if docker_state.RUN not in container["Labels"]:
            return None
        prefix = f"/{self._name('')}"
        return next((name.removeprefix(prefix) for name in container["Names"] if name.startswith(prefix)), None)


def configuration(launch: Launch, image: Image, server_id: str, network: str, *, warm: bool = False) -> dict[str, Any]:
    """The container of a run, as `POST /containers/create` takes it. It holds nothing that is secret."""
    limits: Mapping[str, Any] = launch.spec.get("limits") or {}
    labels = {
        docker_state.KIND: "run",
        docker_state.SERVER: server_id,
        docker_state.RUN: launch.run_id,
        docker_state.DEPLOYMENT: launch.order.deployment_id,
        docker_state.VERSION: launch.order.version_id,
    }
    python = json.loads(image.labels[docker_state.PYTHON])
    command = python.get("command") or [python["executable"]]
    guard = [*command, "-I", "-S", "/runner/guard.py", "--journal", "1", "--ascii", *(["--warm"] if warm else [])]
    owner = identity(launch.order.deployment_id)
    volume = {"Labels": {name: labels[name] for name in (docker_state.SERVER, docker_state.RUN)}}
    return {
        "Image": image.id,
        "Entrypoint": [*guard, "--", *_host(image)],
        "Cmd": [],
        "User": f"{owner}:{owner}",
        "WorkingDir": "/",
        "Hostname": "run",
        "OpenStdin": True,
        "StdinOnce": True,
        "Labels": labels,
        "HostConfig": {
            **_bounds(limits),
            "NetworkMode": "none" if launch.network == "none" else network,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "Mounts": [{"Type": "volume", "Target": place, "VolumeOptions": volume} for place in (APP, _TEMPORARY)],
            "IpcMode": "private",
            "Ulimits": [_NO_CORES],  # of open files the guard gives its child what the engine has to give
            "LogConfig": _LOG,
            "RestartPolicy": {"Name": "no"},
        },
    }


def _host(image: Image) -> list[str]:
    """What the guard starts: the host of the project's framework."""
    node = image.labels.get(docker_state.NODE)
    if node is not None:
        return [json.loads(node)["executable"], "/runner/node/run.mjs"]
    return [f"{VENV}/bin/python", "/runner/run.py"]


def _packages(image: Image) -> dict[str, str]:
    """Variables by which the project's code finds its packages."""
    if docker_state.NODE in image.labels:
        return {"PATH": f"/{MODULES}/.bin:/usr/local/bin:/usr/bin:/bin"}
    return {
        "PATH": f"{VENV}/bin:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": VENV,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # it would lie in the run's own copy, for nobody
    }


def _bounds(limits: Mapping[str, Any]) -> dict[str, Any]:
    """What the kernel is to hold the container to."""
    bounds: dict[str, Any] = {}
    if limits.get("memory") is not None:
        bounds["Memory"] = bounds["MemorySwap"] = int(limits["memory"]) + _SPARE_MEMORY
    if limits.get("processes") is not None:
        bounds["PidsLimit"] = int(limits["processes"]) + 1  # the guard
    if limits.get("cpus") is not None:
        bounds["NanoCpus"] = int(float(limits["cpus"]) * 1_000_000_000)
    return bounds


def _spec(launch: Launch, image: Image) -> dict[str, Any]:
    """The spec with what only this executor knows: where things are, and the environment that goes with that."""
    environment = {
        "HOME": _TEMPORARY,
        "TMPDIR": _TEMPORARY,
        "LANG": "C.UTF-8",
        **_packages(image),
    }
    # The kernel counts processes by container here. By user it would count those of a deployment's other runs as well.
    # And a quota holds the run to its share of time; kept to one processor as well, it would meet others there.
    limits = {**(launch.spec.get("limits") or {}), "processes": None, "cpus": None}
    return {
        **launch.spec,
        "env": environment | launch.spec.get("env", {}),
        "limits": limits,
        "app": APP,
        "site": [SITE] if image.labels.get(docker_state.SITE) else [],
        "watch": [APP, _TEMPORARY],
    }
