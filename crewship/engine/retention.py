"""Applies the rules of retention: every few minutes, and right after one was set, some runs at a time."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from crewship import clock
from crewship.commands import erasing
from crewship.eventlog import Author, EventLog
from crewship.eventlog.following import follow
from crewship.views import Views
from domain.errors import Conflict, DomainError, NotFound
from domain.event import Recorded
from domain.retention import RetentionSet, Rule
from projections import retention as view
from projections import runs as runs_view
from projections.projection import Row, text

CATCH_UP_SECONDS = 60.0
LOOK_SECONDS = 300.0
DEPLOYMENTS_AT_ONCE = 200
RUNS_AT_ONCE = 100

logger = structlog.get_logger(__name__)


class Retention:
    """Erases what the rules keep no longer. Two servers may both try: a run is erased once."""

    def __init__(self, log: EventLog, views: Views, server_id: str, now: Callable[[], datetime] = clock.now) -> None:
        self._log, self._views, self._now = log, views, now
        self._author = Author(by=f"server:{server_id}", cause="retention")
        self._bell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Look once, then follow the log for rules."""
        self._tasks = [
            asyncio.create_task(follow(self._log, self._log.head, self._notice), name="retention"),
            asyncio.create_task(self._run(), name="retention at work"),
        ]

    async def close(self) -> None:
        """Stop; the next life looks again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def healthy(self) -> bool:
        """Whether the rules are being applied."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def _notice(self, events: list[Recorded]) -> None:
        if any(isinstance(recorded.event, RetentionSet) for recorded in events):
            self._bell.set()

    async def _run(self) -> None:
        while True:
            self._bell.clear()
            try:
                await self._apply()
            except DomainError as refusal:  # the log or the views are away; the next look does it
                logger.warning("retention waits", why=refusal.message)
            except Exception:
                logger.exception("retention stumbled; the next look goes on")
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._bell.wait()
            except TimeoutError:
                continue

    async def _apply(self) -> None:
        await self._reached()
        general = _rule(await self._views.row(view.OF_INSTALLATION))
        after = ""
        while rows := await self._views.rows(view.OF_DEPLOYMENTS, after=after, limit=DEPLOYMENTS_AT_ONCE):
            for row in rows:
                if (rule := _rule(row) or general) is not None:
                    await self._apply_to(row["scope"], rule)
            after = rows[-1]["scope"]

    async def _apply_to(self, deployment_id: str, rule: Rule) -> None:
        while run_ids := await self._outlived(deployment_id, rule):
            erased = 0
            for run_id in run_ids:
                try:
                    await erasing.erase_run(self._log, run_id, "retention", self._author)
                    erased += 1
                except (Conflict, NotFound) as refusal:
                    logger.warning("a run was not erased", run_id=run_id, why=refusal.message)
            logger.info("erased runs that are kept no longer", deployment_id=deployment_id, runs=erased)
            if not erased:
                return
            await self._reached()

    async def _outlived(self, deployment_id: str, rule: Rule) -> list[str]:
        """Some runs of a deployment that the rule keeps no longer."""
        wanted = {"deployment_id": deployment_id, "limit": RUNS_AT_ONCE}
        rows: list[Row] = []
        if rule.older_than_seconds is not None:
            before = text(self._now() - timedelta(seconds=rule.older_than_seconds))
            rows += await self._views.rows(runs_view.OLDER, **wanted, before=before)
        if rule.keep is not None and not rows:
            rows += await self._views.rows(runs_view.BEYOND, **wanted, offset=rule.keep)
        return [row["id"] for row in rows]

    async def _reached(self) -> None:
        await self._views.reached(max(self._log.head, self._log.appended), CATCH_UP_SECONDS)


def _rule(row: Row | None) -> Rule | None:
    """The rule of a row; None where it sets no bound."""
    if row is None or (row["older_than_seconds"] is None and row["keep"] is None):
        return None
    return Rule(older_than_seconds=row["older_than_seconds"], keep=row["keep"])
