"""The composition root: the one place where the parts of a server meet."""

import asyncio
import os
import resource
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

import structlog
from aiohttp import web

from crewship import measures, serverlog
from crewship.addresses import Reach
from crewship.api.access_log import AccessLog
from crewship.api.app import SHUTDOWN_SECONDS, build
from crewship.api.connections import Runner, Watcher, sweep
from crewship.api.context import Service
from crewship.api.metrics import count
from crewship.blobs import BlobStore
from crewship.commands import keys as key_commands
from crewship.commands.keys import Keys
from crewship.config import Settings
from crewship.datafolder import DataFolder, Identity
from crewship.engine.builder import BuildQueue
from crewship.engine.choosing import choose
from crewship.engine.columns import ColumnChanges
from crewship.engine.eraser import Eraser
from crewship.engine.images import DockerBuilder
from crewship.engine.retention import Retention
from crewship.engine.scheduler import Scheduler
from crewship.engine.snapshots import check as check_snapshot
from crewship.engine.supervisor import Parts
from crewship.engine.timetable import Timetable
from crewship.engine.warmth import Warmth
from crewship.eventlog import Author, EventLog, Sealer, open_log
from crewship.notifier.courier import Parts as NotifierParts
from crewship.notifier.courier import Policy
from crewship.notifier.notifier import Notifier
from crewship.notifier.sending import Sender
from crewship.secrets import installation_key
from crewship.views import Views
from crewship.views.postgres import PostgresViews
from crewship.views.sqlite import SqliteViews
from domain.errors import DomainError, Unavailable
from projections import access as access_view
from projections import deployments as deployments_view

EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 compared, not bound
PRUNE_SECONDS = 3600.0
DELIVERIES_AT_ONCE = 32
LEAST_FREE_BYTES = 16 * 1024 * 1024
KeepKey = Callable[[str, str], object]

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens."""

    url: str
    service: Service
    scheduler: Scheduler
    sandbox: str
    first_key: str | None


def serve(settings: Settings, keep_key: KeepKey | None = None) -> None:
    """Run a server until it is told to stop. `keep_key(url, key)` gets the admin key that a first start makes."""
    begin()
    asyncio.run(_serve(settings, keep_key))


def begin() -> None:
    """What a process does before it serves."""
    serverlog.begin()
    _allow_many_files()


def told_to_stop() -> asyncio.Event:
    """Is set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    return stop


async def _serve(settings: Settings, keep_key: KeepKey | None) -> None:
    stop = told_to_stop()
    async with running(settings) as server:
        if server.first_key and keep_key:
            keep_key(server.url, server.first_key)
        _greet(server, settings)
        await stop.wait()
        sys.stderr.write("Stopping: no new work, streams end; runs go on in their sandboxes and are taken up again\n")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Server]:
    """A whole server, from its data folder to its socket; stopped in good order at the end of the block."""
    async with AsyncExitStack() as stack:
        folder = DataFolder.claim(settings.data)
        stack.callback(folder.release)
        installation = installation_key(folder.path / "installation.key")
        log = await open_log(folder.path, settings.postgres, installation, stack)
        identity = folder.identity
        sealer = Sealer(log, Author(f"server:{identity.server_id}"))
        sealer.open()
        stack.push_async_callback(sealer.close)
        views = await opened_views(settings, log, stack)
        blobs = BlobStore(folder.path / "blobs")
        await asyncio.to_thread(blobs.open)
        keys = Keys(log, settings.admin_key, installation)
        service = Service(
            settings=settings,
            log=log,
            views=views,
            blobs=blobs,
            keys=keys,
            check_snapshot=check_snapshot,
            reach=Reach(settings.webhook_allow),
            seal=sealer.seal,
            unhealthy=lambda: "starting",
        )
        runner, port = await listen(settings, service, stack)
        chosen = await choose(settings, folder.path, identity.server_id, port, stack)
        if chosen.gateway:
            await _listen_to_runs(runner, service, settings, chosen.gateway, port)
        url = address_of(settings.host, port)
        api_url = settings.public_url or (address_of(chosen.gateway, port) if chosen.gateway else url)
        warmth = Warmth(log, views, blobs, chosen.executor, api_url, settings.warm)
        parts = Parts(
            log=log,
            blobs=blobs,
            keys=keys,
            executor=chosen.executor,
            warmth=warmth,
            server_id=identity.server_id,
            epoch=identity.epoch,
            api_url=api_url,
        )
        builds = BuildQueue(
            log, views, blobs, chosen.builder, server_id=identity.server_id, epoch=identity.epoch, most=settings.builds
        )
        scheduler = Scheduler(parts, views, settings.concurrency)
        service.waiting = lambda: scheduler.waiting
        await builds.open()
        stack.push_async_callback(builds.close)
        await scheduler.open()
        stack.push_async_callback(scheduler.close, settings.drain)
        timetable = Timetable(log, views, identity.server_id)
        await timetable.open()
        stack.push_async_callback(timetable.close)
        await warmth.open()
        stack.push_async_callback(warmth.close)
        notifier = _notifier(service, identity)
        await notifier.open()
        stack.push_async_callback(notifier.close)
        columns = ColumnChanges(log, views, identity.server_id)
        await columns.open()
        stack.push_async_callback(columns.close)
        eraser = Eraser(log, views, blobs, identity.server_id)
        await eraser.open()
        stack.push_async_callback(eraser.close)
        retention = Retention(log, views, identity.server_id)
        await retention.open()
        stack.push_async_callback(retention.close)
        if chosen.images:
            pruning = asyncio.create_task(_prune(chosen.images, views), name="image pruning")
            stack.callback(pruning.cancel)
        first_key = await _first_key(settings, log, views, identity.server_id)
        parts_at_work: dict[str, _Part] = {
            "the log": log,
            "the views": views,
            "the build queue": builds,
            "the scheduler": scheduler,
            "the timetable": timetable,
            "the notifier": notifier,
            "what keeps sandboxes warm": warmth,
            "the sealing of the log": sealer,
            "the look at tables": columns,
            "the erasing of data": eraser,
            "retention": retention,
        }
        service.unhealthy = lambda: _unhealthy(settings, parts_at_work)
        _measure(service, scheduler, builds, identity, chosen.described)
        try:
            yield Server(settings.public_url or url, service, scheduler, chosen.described, first_key)
        finally:
            service.closing = True


async def opened_views(settings: Settings, log: EventLog, stack: AsyncExitStack) -> Views:
    """The views of that log, caught up, open until the stack unwinds."""
    store = PostgresViews(settings.postgres) if settings.postgres else SqliteViews(settings.data / "views.db")
    views = Views(store, log)
    await views.open()
    stack.push_async_callback(views.close)
    return views


async def listen(settings: Settings, service: Service, stack: AsyncExitStack) -> tuple[web.AppRunner, int]:
    """Serve the API until the stack unwinds; returns the port too."""
    runner = Runner(build(service), _watchers(settings, stack), shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    sweeper = asyncio.create_task(sweep(_server_of(runner)), name="connection sweeper")
    stack.callback(sweeper.cancel)
    site = web.TCPSite(runner, settings.host, settings.port)
    try:
        await site.start()
    except OSError as fault:
        where = f"{settings.host}:{settings.port}"
        why = os.strerror(fault.errno or 0)
        raise Unavailable(f"Cannot listen on {where}: {why}; choose another with --port") from None
    return runner, int(runner.addresses[0][1])


def _watchers(settings: Settings, stack: AsyncExitStack) -> list[Watcher]:
    """Who is told of each answer that has gone out."""
    if not settings.access_log:
        return [count]
    try:
        access_log = AccessLog(settings.access_log)
    except OSError as fault:
        raise Unavailable(f"CREWSHIP_ACCESS_LOG: {settings.access_log}: {fault.strerror}") from None
    stack.callback(access_log.close)
    return [count, access_log.write]


async def _listen_to_runs(runner: web.AppRunner, service: Service, settings: Settings, gateway: str, port: int) -> None:
    """Listen where containers find this machine too, for the keys of runs alone."""
    if settings.host in EVERYWHERE:
        return
    service.runs_only = gateway
    await web.TCPSite(runner, gateway, port).start()


async def _prune(images: DockerBuilder, views: Views) -> None:
    """Now and then, remove the images of versions to which nobody can go back any more."""
    while True:
        await asyncio.sleep(PRUNE_SECONDS)
        try:
            kept = {row["id"] for row in await views.rows(deployments_view.KEPT)}
            removed = await images.prune(kept)
        except (DomainError, OSError):
            logger.exception("images were not pruned; the next time may do")
        else:
            if removed:
                logger.info("pruned images that no version needs", images=removed)


def _server_of(runner: web.AppRunner) -> web.Server:
    if runner.server is None:
        raise RuntimeError("the runner was not set up")
    return runner.server


def address_of(host: str, port: int) -> str:
    """The URL under which a server is found."""
    shown = "127.0.0.1" if host in EVERYWHERE else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


async def _first_key(settings: Settings, log: EventLog, views: Views, server_id: str) -> str | None:
    """The admin key of an installation that has no key yet, unless the operator brings one."""
    await views.reached(log.appended, seconds=60)
    if settings.admin_key or await views.rows(access_view.LIST, limit=1, offset=0):
        return None
    wanted = key_commands.NewKey(name="admin", scopes=["admin"])
    _, key = await key_commands.create(log, wanted, Author(f"server:{server_id}"))
    return key


def _notifier(service: Service, identity: Identity) -> Notifier:
    policy = Policy()
    parts = NotifierParts(
        log=service.log,
        views=service.views,
        sender=Sender(service.reach, policy.answer_within),
        slots=asyncio.Semaphore(DELIVERIES_AT_ONCE),
        policy=policy,
        server_id=identity.server_id,
        epoch=identity.epoch,
    )
    return Notifier(parts)


class _Part(Protocol):
    """Something that works all the time, or says that it does not."""

    @property
    def healthy(self) -> bool: ...


def _unhealthy(settings: Settings, parts: Mapping[str, _Part]) -> str | None:
    if shutil.disk_usage(settings.data).free < LEAST_FREE_BYTES:
        return "the disk of the data folder is full"
    return next((f"{name} stopped working" for name, part in parts.items() if not part.healthy), None)


def _measure(service: Service, scheduler: Scheduler, builds: BuildQueue, identity: Identity, executor: str) -> None:
    """Tell the gauges of /metrics whom to ask."""
    log, views = service.log, service.views
    measures.STREAMS.set_function(lambda: len(service.streams))
    measures.RUNS_WAITING.set_function(lambda: scheduler.waiting)
    measures.SANDBOXES.set_function(lambda: scheduler.supervised)
    measures.BUILDS.set_function(lambda: builds.unfinished)
    measures.LOG_WAITING.set_function(lambda: log.waiting)
    measures.LOG_POSITION.set_function(lambda: log.head)
    measures.VIEWS_LAG.set_function(lambda: max(0, log.head - views.position))
    measures.READY.set_function(lambda: 0 if service.closing or service.unhealthy() else 1)
    measures.STARTS.set(identity.epoch)
    kind = "PostgreSQL" if service.settings.postgres else "SQLite"
    measures.INFO.labels(version("crewship"), executor, kind).set(1)


def _greet(server: Server, settings: Settings) -> None:
    lines = [f"Crewship listens on {server.url}", f"data      {settings.data}"]
    lines.append(f"log       {'PostgreSQL' if settings.postgres else 'log.db in the data folder'}")
    lines.append(f"sandbox   {server.sandbox}")
    if server.first_key:
        lines.append(f"admin key {server.first_key}")
        lines.append("          shown once; the command line on this machine is logged in with it")
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def rebuild_views(settings: Settings) -> int:
    """Make the views of a stopped server anew from its log; returns the number of events read."""
    return asyncio.run(_rebuild_views(settings))


async def _rebuild_views(settings: Settings) -> int:
    async with AsyncExitStack() as stack:
        folder = DataFolder.claim(settings.data)
        stack.callback(folder.release)
        installation = installation_key(folder.path / "installation.key")
        log = await open_log(folder.path, settings.postgres, installation, stack)
        views = await opened_views(settings, log, stack)
        return await views.rebuild()


def _allow_many_files() -> None:
    """Each stream is a descriptor; the usual soft limit of 1,024 is a relic."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
