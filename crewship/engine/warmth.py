"""Keeps sandboxes warm: of each version that is live, as many as its project asks for with `min_warm`.

They are made one at a time, so that what only gets ready takes little from what runs, and only while there is memory.
One is used once. What does not fit any more (another version is live, a variable was changed) is ended; one that ends
by itself is made anew after a pause that grows.
"""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from crewship import ids
from crewship.blobs import BlobStore
from crewship.commands import deployments
from crewship.engine import specs
from crewship.engine.builder import order_of
from crewship.engine.executor import WARM, Executor, Launch, LaunchFailed, WarmSandbox
from crewship.eventlog import EventLog
from crewship.eventlog.following import follow
from crewship.views import Views
from domain import deployment as deployment_rules
from domain.deployment import ENVIRONMENTS, DeploymentClosed, DeploymentDeleted, DeploymentReopened, VersionActivated
from domain.errors import DomainError
from domain.event import Recorded
from domain.variables import VariablesSet, VariableUnset
from domain.version import VersionReady
from projections import deployments as view

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
LOOK_SECONDS = 5.0
LEAST_FREE_SHARE = 0.15
"""Of the machine's memory: where less is available, nothing more is made warm."""

logger = structlog.get_logger(__name__)


class Place(NamedTuple):
    """What warm sandboxes are kept for: a version in an environment of its deployment."""

    deployment_id: str
    version_id: str
    environment: str


class Wanted(NamedTuple):
    """How many, and from what each is made."""

    number: int
    launch: Launch


class Kept(NamedTuple):
    """One that waits, what it was made from, and who notices when it ends."""

    sandbox: WarmSandbox
    spec: dict[str, Any]
    watch: "asyncio.Task[None]"


class Warmth:
    """The warm sandboxes of one server: at most `most` in all."""

    def __init__(
        self, log: EventLog, views: Views, blobs: BlobStore, executor: Executor, api_url: str, most: int
    ) -> None:
        self._log, self._views, self._blobs = log, views, blobs
        self._executor, self._api_url, self._most = executor, api_url, most
        self._wanted: dict[Place, Wanted] = {}
        self._kept: dict[Place, list[Kept]] = {}
        self._failures: dict[Place, int] = {}
        self._not_before: dict[Place, float] = {}
        self._changed = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Find out what is wanted, then follow the log."""
        if self._most == 0:
            return
        after = self._log.head
        await self._views.reached(after, 60.0)
        for deployment_id in {row["deployment_id"] for row in await self._views.rows(view.ALL_LIVE)}:
            await self._look(deployment_id)
        self._tasks = [
            asyncio.create_task(follow(self._log, after, self._notice), name="warmth"),
            asyncio.create_task(self._keep(), name="warmth keeper"),
        ]

    async def close(self) -> None:
        """End all that wait; no run has them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._wanted.clear()
        for place in list(self._kept):
            self._retire(place)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    @property
    def healthy(self) -> bool:
        """Whether what changes is being noticed."""
        return self._most == 0 or (bool(self._tasks) and not any(task.done() for task in self._tasks))

    def take(self, place: Place, spec: dict[str, Any]) -> WarmSandbox | None:
        """One that has exactly this spec, for a run that starts now; None where there is none."""
        for kept in self._kept.get(place, []):
            if kept.spec == spec and not kept.watch.done():
                self._kept[place].remove(kept)
                kept.watch.cancel()
                self._failures.pop(place, None)
                self._changed.set()
                return kept.sandbox
        return None

    async def _notice(self, events: list[Recorded]) -> None:
        for recorded in events:
            match recorded.event:
                case (
                    VersionActivated(deployment_id=deployment_id)
                    | DeploymentClosed(deployment_id=deployment_id)
                    | DeploymentReopened(deployment_id=deployment_id)
                    | DeploymentDeleted(deployment_id=deployment_id)
                    | VariablesSet(deployment_id=deployment_id)
                    | VariableUnset(deployment_id=deployment_id)
                ):
                    await self._look(deployment_id)
                case VersionReady(version_id=version_id):
                    version, _ = await deployments.version(self._log, version_id)
                    await self._look(version.deployment_id)

    async def _look(self, deployment_id: str) -> None:
        """Take in what a deployment wants now."""
        before = {place: wanted for place, wanted in self._wanted.items() if place.deployment_id == deployment_id}
        now = await self._wanted_by(deployment_id)
        for place in before.keys() | now.keys():
            if before.get(place) != now.get(place):
                self._failures.pop(place, None)
                self._not_before.pop(place, None)
        for place in before:
            del self._wanted[place]
        self._wanted.update(now)
        self._changed.set()

    async def _wanted_by(self, deployment_id: str) -> dict[Place, Wanted]:
        try:
            deployment, _ = await deployments.find(self._log, deployment_id)
            deployment_rules.takes_runs(deployment)
        except DomainError:
            return {}
        found = {}
        for environment in ENVIRONMENTS:
            active = deployment.pointer(environment).active
            if active is None:
                continue
            version, _ = await deployments.version(self._log, active.version_id)
            manifest = specs.manifest_of(version)
            if not manifest.min_warm:
                continue
            spec = specs.shared(
                manifest,
                await deployments.variables_of(self._log, deployment_id),
                self._api_url,
                deployment_id=deployment_id,
                version_id=active.version_id,
                environment=environment,
            )
            launch = Launch(run_id="", order=order_of(version, self._blobs), spec=spec, network=manifest.network)
            found[Place(deployment_id, active.version_id, environment)] = Wanted(manifest.min_warm, launch)
        return found

    async def _keep(self) -> None:
        """Make what is missing, one at a time, and end what is not wanted."""
        while True:
            self._changed.clear()
            for place in list(self._kept):
                self._retire(place)
            missing = self._missing()
            if missing is not None:
                await self._make(missing, self._wanted[missing].launch)
                continue
            try:
                async with asyncio.timeout(LOOK_SECONDS):  # memory may be there again, and a pause over
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _retire(self, place: Place) -> None:
        """End those of a place that are too many, or that were made from something else."""
        wanted = self._wanted.get(place)
        staying: list[Kept] = []
        for kept in self._kept.pop(place, []):
            fits = wanted is not None and kept.spec == wanted.launch.spec and len(staying) < wanted.number
            if fits and not kept.watch.done():
                staying.append(kept)
                continue
            kept.watch.cancel()
            leaving = asyncio.create_task(self._discard(kept.sandbox), name=f"retiring {kept.sandbox.name}")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        if staying:
            self._kept[place] = staying

    async def _discard(self, sandbox: WarmSandbox) -> None:
        try:
            await sandbox.discard()
        except OSError:
            logger.exception("a warm sandbox could not be cleared away; the next start will", name=sandbox.name)

    def _missing(self) -> Place | None:
        """Where the next one is made: where the fewest wait, of those that lack any."""
        if sum(map(len, self._kept.values())) >= self._most or not _has_memory():
            return None
        now = asyncio.get_running_loop().time()
        lacking = [
            (len(self._kept.get(place, [])), place)
            for place, wanted in self._wanted.items()
            if len(self._kept.get(place, [])) < wanted.number and self._not_before.get(place, 0.0) <= now
        ]
        return min(lacking)[1] if lacking else None

    async def _make(self, place: Place, wanted: Launch) -> None:
        name = ids.new("warm")
        launch = Launch(run_id=name, order=wanted.order, spec=wanted.spec, network=wanted.network)
        assert name.startswith(WARM)
        try:
            sandbox = await self._executor.prepare(launch)
        except LaunchFailed as failure:
            self._stumbled(place, str(failure))
            return
        watch = asyncio.create_task(self._watch(place, sandbox), name=f"watch {name}")
        self._kept.setdefault(place, []).append(Kept(sandbox, wanted.spec, watch))

    async def _watch(self, place: Place, sandbox: WarmSandbox) -> None:
        await sandbox.ended()
        self._stumbled(place, "it ended while it waited")
        self._changed.set()

    def _stumbled(self, place: Place, why: str) -> None:
        failures = self._failures[place] = self._failures.get(place, 0) + 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS)
        self._not_before[place] = asyncio.get_running_loop().time() + pause
        logger.warning("no sandbox could be kept warm", **place._asdict(), why=why, again_in_seconds=pause)


def _has_memory() -> bool:
    """Whether the machine has memory to spare; where it does not say, it has."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return True
    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return sizes.get("MemAvailable", 1) >= LEAST_FREE_SHARE * sizes.get("MemTotal", 1)
