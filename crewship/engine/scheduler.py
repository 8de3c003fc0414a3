"""Decides which pending run starts when, within the limits of the server and of each deployment."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import msgspec
import structlog

from crewship import clock
from crewship.commands import deployments, runs
from crewship.engine.supervisor import Parts, Supervisor, end
from crewship.engine.waiting import Pending, WaitingRuns
from crewship.eventlog import Author
from crewship.eventlog.following import follow
from crewship.views import Views
from domain import thread as thread_rules
from domain.errors import DomainError, Unavailable
from domain.event import Recorded
from domain.manifest import DeploymentManifest
from domain.run import Run, RunCanceled, RunRequested, RunRetried
from domain.thread import RunTaken
from projections import runs as view

EXPIRY_LOOK_SECONDS = 1.0
CATCH_UP_SECONDS = 60.0
RETRY_SECONDS = 1.0
_AFTERWARDS = 0.005  # so that a timer never rings in the millisecond before the time that it is for

logger = structlog.get_logger(__name__)


class Scheduler:
    """Follows the log for runs, and gives each a supervisor when its turn comes."""

    def __init__(self, parts: Parts, views: Views, concurrency: int) -> None:
        self._parts = parts
        self._views = views
        self._concurrency = concurrency
        self._waiting = WaitingRuns()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._of_deployment: Counter[str] = Counter()
        self._turns: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._draining = False

    async def open(self) -> None:
        """Take up the unfinished runs of a former life, clear away what no run needs any more, then follow the log."""
        after = self._parts.log.head
        await self._views.reached(after, CATCH_UP_SECONDS)
        unfinished = await self._views.rows(view.UNFINISHED)
        await self._clear_away({row["id"] for row in unfinished})
        for row in unfinished:
            run, _ = await runs.get(self._parts.log, row["id"])
            if run.server_id == self._parts.server_id:
                self._supervise(run.id, run.deployment_id, run.turn_of)
            elif run.server_id is None and await self._has_its_turn(run):
                await self._enqueue(run, datetime.fromisoformat(row["created_at"]))
        self._tasks = [
            asyncio.create_task(follow(self._parts.log, after, self._notice), name="scheduler"),
            asyncio.create_task(self._expire(), name="scheduler expiry"),
        ]
        self._fill()

    async def close(self, drain: float = 0.0) -> None:
        """Start nothing more; wait for what runs at most `drain` seconds, then let go of it: its sandboxes go on."""
        self._draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._running and drain:
            await asyncio.wait(self._running.values(), timeout=drain)
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    @property
    def healthy(self) -> bool:
        """Whether new runs are being noticed."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def waiting(self) -> int:
        """How many runs wait for their turn."""
        return len(self._waiting)

    @property
    def supervised(self) -> int:
        """How many runs are being seen through."""
        return len(self._running)

    async def _has_its_turn(self, run: Run) -> bool:
        if run.thread_id is None:
            return True
        thread, _ = await self._parts.log.load(run.thread_id, thread_rules.evolve)
        return thread is not None and thread.running == run.id

    async def _clear_away(self, unfinished: set[str]) -> None:
        for run_id in await self._parts.executor.held():
            if run_id in unfinished:
                continue
            sandbox = await self._parts.executor.find(run_id)
            if sandbox is not None:
                logger.info("removing what a finished run left behind", run_id=run_id)
                await sandbox.kill()
                await sandbox.remove()

    async def _notice(self, events: list[Recorded]) -> None:
        for recorded in events:
            match recorded.event:
                # A thread's run has its turn once the thread is its own.
                case RunRequested(thread_id=None, run_id=run_id) | RunTaken(run_id=run_id) | RunRetried(run_id=run_id):
                    run, _ = await runs.get(self._parts.log, run_id)
                    if run.status == "pending" and run.server_id is None:
                        await self._enqueue(run, recorded.at)
                case RunCanceled(run_id=run_id):
                    self._waiting.discard(run_id)
        self._fill()

    async def _enqueue(self, run: Run, since: datetime) -> None:
        if run.id in self._waiting:
            return
        version, _ = await deployments.version(self._parts.log, run.version_id)
        limits = msgspec.convert(version.manifest, DeploymentManifest).limits
        if run.not_before is not None:
            since = max(since, run.not_before)
            pause = (run.not_before - clock.now()).total_seconds()
            asyncio.get_running_loop().call_later(max(0.0, pause) + _AFTERWARDS, self._fill)
        expires_at = since + timedelta(seconds=limits.queue_timeout)
        most = limits.max_concurrency
        self._waiting.add(Pending(run.id, run.deployment_id, most, expires_at, run.not_before, run.turn_of))

    def _fill(self) -> None:
        """Start what may start."""
        now = clock.now()
        while not self._draining and len(self._running) < self._concurrency:
            # An attempt that has failed may still be cleared away: its end looks here again.
            pending = self._waiting.take(now, self._of_deployment, self._running, self._turns.values())
            if pending is None:
                return
            self._supervise(pending.run_id, pending.deployment_id, pending.turn_of)

    def _supervise(self, run_id: str, deployment_id: str, turn_of: str | None) -> None:
        task = asyncio.create_task(self._see_through(run_id), name=f"supervisor {run_id}")
        self._running[run_id] = task
        self._of_deployment[deployment_id] += 1
        if turn_of is not None:
            self._turns[run_id] = turn_of
        task.add_done_callback(lambda _: self._done(run_id, deployment_id))

    async def _see_through(self, run_id: str) -> None:
        """Until the run has ended, whatever happens to the log meanwhile: each try takes it up where it stands."""
        while True:
            supervisor = Supervisor(self._parts, run_id)
            try:
                try:
                    await supervisor.run()
                except Unavailable:
                    raise
                except Exception as fault:
                    await supervisor.give_up(fault)
                return
            except Unavailable as refusal:
                if self._parts.log.closing:
                    return
                logger.warning("a run waits for the log", run_id=run_id, why=refusal.message)
                await asyncio.sleep(RETRY_SECONDS)

    def _done(self, run_id: str, deployment_id: str) -> None:
        self._running.pop(run_id, None)
        self._turns.pop(run_id, None)
        self._of_deployment[deployment_id] -= 1
        if not self._of_deployment[deployment_id]:
            del self._of_deployment[deployment_id]
        self._fill()

    async def _expire(self) -> None:
        """End runs that have waited longer than their queue timeout."""
        while True:
            await asyncio.sleep(EXPIRY_LOOK_SECONDS)
            self._fill()  # should a clock have been set
            now = clock.now()
            for pending in [pending for pending in self._waiting if pending.expires_at <= now]:
                self._waiting.discard(pending.run_id)
                try:
                    await self._end_expired(pending.run_id)
                except DomainError as refusal:  # the log cannot be written now; the next look tries again
                    self._waiting.add(pending)
                    logger.warning("an expired run could not be ended", run_id=pending.run_id, why=refusal.message)

    async def _end_expired(self, run_id: str) -> None:
        run, _ = await runs.get(self._parts.log, run_id)
        if run.status == "pending" and run.server_id is None:
            author = Author(by=f"server:{self._parts.server_id}", cause=run_id)
            await end(self._parts.log, run_id, "expired", "The run waited longer than its queue_timeout", author)
