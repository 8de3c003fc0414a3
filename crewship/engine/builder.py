"""Builds versions: follows the log for new ones, has them built, records what the build says and how it ends."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from crewship import measures
from crewship.blobs import BlobStore
from crewship.commands import deployments as commands
from crewship.engine.batches import gathered
from crewship.engine.executor import Builder, BuildFailed, BuildOrder
from crewship.eventlog import Author, Change, EventLog, StreamMoved
from crewship.eventlog.following import follow
from crewship.views import Views
from domain.errors import Unavailable
from domain.event import Recorded, output_of
from domain.manifest import DeploymentManifest
from domain.output import LogWritten, OutputAdopted
from domain.version import Version, VersionCreated
from projections import deployments as view

LINES_AT_ONCE = 64
LINES_AHEAD = 1000
RETRY_SECONDS = 1.0

logger = structlog.get_logger(__name__)


def order_of(version: Version, blobs: BlobStore) -> BuildOrder:
    """What to build for a version."""
    manifest = msgspec.convert(version.manifest, DeploymentManifest)
    return BuildOrder(
        deployment_id=version.deployment_id,
        version_id=version.id,
        snapshot=blobs.path(version.source_sha256),
        source_sha256=version.source_sha256,
        framework=manifest.framework,
        entrypoint=manifest.entrypoint,
        python=manifest.python,
        node=manifest.node,
        profile=manifest.profile,
    )


class BuildQueue:
    """Builds at most so many versions at once, oldest first. Unfinished builds of a former life begin again."""

    def __init__(
        self, log: EventLog, views: Views, blobs: BlobStore, builder: Builder, *, server_id: str, epoch: int, most: int
    ) -> None:
        self._log = log
        self._views = views
        self._blobs = blobs
        self._builder = builder
        self._author = Author(by=f"server:{server_id}")
        self._claim = OutputAdopted(server_id=server_id, epoch=epoch)
        self._places = asyncio.Semaphore(most)
        self._builds: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take up what was left unfinished, then follow the log."""
        after = self._log.head
        await self._views.reached(after, seconds=60)
        for row in await self._views.rows(view.BUILDING):
            self._begin(row["id"], resumed=True)
        self._task = asyncio.create_task(follow(self._log, after, self._notice), name="build-queue")

    async def close(self) -> None:
        """Stop. Builds under way are given up; the next life begins them again."""
        tasks = [task for task in (self._task, *self._builds.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def healthy(self) -> bool:
        """Whether new versions are being noticed."""
        return self._task is not None and not self._task.done()

    @property
    def unfinished(self) -> int:
        """How many versions wait for their build or are being built."""
        return len(self._builds)

    async def _notice(self, events: list[Recorded]) -> None:
        for recorded in events:
            if isinstance(recorded.event, VersionCreated):
                self._begin(recorded.event.version_id)

    def _begin(self, version_id: str, resumed: bool = False) -> None:
        if version_id in self._builds:
            return
        task = asyncio.create_task(self._build(version_id, resumed), name=f"build {version_id}")
        self._builds[version_id] = task
        task.add_done_callback(lambda _: self._builds.pop(version_id, None))

    async def _build(self, version_id: str, resumed: bool) -> None:
        async with self._places:
            while True:
                try:
                    await self._see_through(version_id, resumed)
                    return
                except Unavailable as refusal:
                    if self._log.closing:
                        return
                    logger.warning("a build waits for the log", version_id=version_id, why=refusal.message)
                    await asyncio.sleep(RETRY_SECONDS)
                    resumed = True

    async def _see_through(self, version_id: str, resumed: bool) -> None:
        try:
            version, _ = await commands.version(self._log, version_id)
            if version.status == "building":
                await self._run(version, resumed)
                await commands.finish_build(self._log, version_id, self._author)
        except Unavailable:
            raise
        except StreamMoved:  # a build has one writer: another server builds this version, and ends it
            logger.info("another server builds a version", version_id=version_id)
        except BuildFailed as failure:
            await commands.fail_build(self._log, version_id, str(failure), self._author)
        except Exception as fault:  # a fault of ours must end the build too, or its version would build for ever
            logger.exception("a build broke down", version_id=version_id)
            measures.EXECUTOR_FAILURES.labels("build").inc()
            error = f"The build broke down on the server: {fault}"
            await commands.fail_build(self._log, version_id, error, self._author)

    async def _run(self, version: Version, resumed: bool) -> None:
        output = output_of(version.id)
        at, _ = await self._log.end(output)
        if resumed:
            again = LogWritten(level="warning", message="The build was cut off; building again", stream="builder")
            await self._append(output, at, [self._claim, again])
            at += 2
        lines = self._builder.build(order_of(version, self._blobs))
        async for batch in gathered(lines, LINES_AT_ONCE, LINES_AHEAD):
            events = [LogWritten(level="info", message=line, stream="builder") for line in batch]
            await self._append(output, at, events)
            at += len(events)

    async def _append(self, output: str, at: int, events: Sequence[LogWritten | OutputAdopted]) -> None:
        await self._log.append(Change(output, at, events), author=self._author, patient=True)
