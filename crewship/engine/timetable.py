"""Lets runs begin by the clock: knows the next time of every schedule, and sleeps until the first of them."""

import asyncio
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import structlog

from crewship import clock
from crewship.commands import schedules
from crewship.cron import cron
from crewship.eventlog import Author, EventLog
from crewship.eventlog.following import follow
from crewship.views import Views
from domain.deployment import DeploymentDeleted
from domain.errors import DomainError, NotFound
from domain.event import Recorded
from domain.schedule import (
    Schedule,
    ScheduleChanged,
    ScheduleCreated,
    ScheduleDeleted,
    SchedulePaused,
    ScheduleResumed,
)
from projections import runs as runs_view
from projections import schedules as view

CATCH_UP_SECONDS = 60.0
RETRY_SECONDS = 1.0
LONGEST_REST_SECONDS = 60.0
LATE = timedelta(seconds=60)
"""A time that is no further behind is not missed, whatever a schedule says: a restart takes a moment."""
MOST_COUNTED = 2_000
FREQUENT = timedelta(hours=25)
"""What comes more often than can be counted comes within a day."""

logger = structlog.get_logger(__name__)


class Clock(Protocol):
    """What tells the time, and waits for one."""

    def now(self) -> datetime:
        """The time, UTC."""
        ...

    async def wait(self, until: datetime | None, bell: asyncio.Event) -> None:
        """Until that time (None: for ever) or until the bell rings; it may be early."""
        ...


class WallClock:
    """The machine's own. It is looked at once a minute at least, since it is set now and then."""

    def now(self) -> datetime:
        """The time, UTC."""
        return clock.now()

    async def wait(self, until: datetime | None, bell: asyncio.Event) -> None:
        """Until that time or until the bell rings, a minute at most."""
        seconds = LONGEST_REST_SECONDS if until is None else (until - clock.now()).total_seconds()
        try:
            async with asyncio.timeout(max(0.0, min(seconds, LONGEST_REST_SECONDS))):
                await bell.wait()
        except TimeoutError:
            return


class Timetable:
    """The next time of each schedule. Which times came to what is in the log; here is only what to wait for."""

    def __init__(self, log: EventLog, views: Views, server_id: str, watch: Clock | None = None) -> None:
        self._log, self._views = log, views
        self._clock = watch or WallClock()
        self._author = Author(by=f"server:{server_id}")
        self._anchors: dict[str, tuple[str, datetime]] = {}
        self._next: dict[str, datetime] = {}
        self._bell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Take up each schedule behind the last of its times that came to something."""
        after = self._log.head
        await self._views.reached(max(after, self._log.appended), CATCH_UP_SECONDS)
        for row in await self._views.rows(view.ACTIVE):
            await self._enter(row["deployment_id"], row["id"], view.anchor(row))
        self._tasks = [
            asyncio.create_task(follow(self._log, after, self._notice), name="timetable"),
            asyncio.create_task(self._run(), name="timetable clock"),
        ]

    async def close(self) -> None:
        """Let no run begin any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def healthy(self) -> bool:
        """Whether schedules are being kept."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def _notice(self, events: list[Recorded]) -> None:
        for recorded in events:
            deployment_id = recorded.stream.partition(":")[0]
            match recorded.event:
                case ScheduleCreated() | ScheduleChanged() | ScheduleResumed() as event:
                    await self._enter(deployment_id, event.schedule_id, event.since)
                case SchedulePaused(schedule_id=schedule_id) | ScheduleDeleted(schedule_id=schedule_id):
                    self._strike(schedule_id)
                case DeploymentDeleted(deployment_id=gone):
                    for schedule_id in [one for one, (owner, _) in self._anchors.items() if owner == gone]:
                        self._strike(schedule_id)

    async def _enter(self, deployment_id: str, schedule_id: str, anchor: datetime) -> None:
        schedule = (await schedules.of(self._log, deployment_id)).by_id.get(schedule_id)
        if schedule is None or schedule.paused:
            self._strike(schedule_id)
            return
        self._advance(schedule, max(anchor, schedule.since))
        self._bell.set()

    def _advance(self, schedule: Schedule, anchor: datetime) -> None:
        """Wait for the first time behind a moment; an expression may have none any more."""
        self._anchors[schedule.id] = (schedule.deployment_id, anchor)
        following = next(cron(schedule.cron, schedule.timezone).after(anchor), None)
        if following is None:
            self._strike(schedule.id)
        else:
            self._next[schedule.id] = following

    def _strike(self, schedule_id: str) -> None:
        self._anchors.pop(schedule_id, None)
        self._next.pop(schedule_id, None)

    async def _run(self) -> None:
        while True:
            self._bell.clear()
            now = self._clock.now()
            try:
                for schedule_id in [one for one, at in self._next.items() if at <= now]:
                    await self._come(schedule_id, now)
            except Exception:  # the log or the views are away: the times stay due
                logger.exception("a schedule could not be kept; it is tried again")
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._clock.wait(min(self._next.values(), default=None), self._bell)

    async def _come(self, schedule_id: str, now: datetime) -> None:
        """One or more times of a schedule have come: the newest counts, if it is not too long ago."""
        deployment_id, anchor = self._anchors.get(schedule_id, ("", now))
        schedule = (await schedules.of(self._log, deployment_id)).by_id.get(schedule_id)
        if schedule is None or schedule.paused:
            self._strike(schedule_id)
            return
        anchor = max(anchor, schedule.since)
        gone = _gone_by(schedule, anchor, now)
        if gone is None:
            self._advance(schedule, anchor)
            return
        if now - gone.newest > max(LATE, timedelta(seconds=schedule.catch_up)):
            await schedules.miss(self._log, schedule, gone.first, gone.newest, gone.many, self._author)
        else:
            if gone.before is not None:
                await schedules.miss(self._log, schedule, gone.first, gone.before, gone.many - 1, self._author)
            await self._tick(schedule, gone.newest)
        current = self._anchors.get(schedule_id)
        if current is not None and current[1] <= gone.newest:  # else it was changed meanwhile
            self._advance(schedule, gone.newest)

    async def _tick(self, schedule: Schedule, at: datetime) -> None:
        async def busy() -> bool:
            await self._views.reached(max(self._log.appended, self._log.head), CATCH_UP_SECONDS)
            counted = await self._views.row(runs_view.COUNT_OF_SCHEDULE, schedule_id=schedule.id)
            return bool(counted and counted["runs"])

        try:
            await schedules.tick(self._log, schedule, at, busy, self._author)
        except NotFound:  # the deployment was deleted at this moment
            self._strike(schedule.id)
        except DomainError as refusal:
            logger.warning("a schedule's time waits", schedule_id=schedule.id, why=refusal.message)
            raise


class _Gone(NamedTuple):
    """Times that have come: the first, the one before the newest, the newest, and how many, as far as one counts."""

    first: datetime
    before: datetime | None
    newest: datetime
    many: int


def _gone_by(schedule: Schedule, anchor: datetime, now: datetime) -> _Gone | None:
    times = cron(schedule.cron, schedule.timezone)
    gone: _Gone | None = None
    for at in times.after(anchor):
        if at > now or (gone and gone.many >= MOST_COUNTED):
            break
        gone = _Gone(gone.first, gone.newest, at, gone.many + 1) if gone else _Gone(at, None, at, 1)
    if gone and gone.many >= MOST_COUNTED:
        for at in times.after(max(gone.newest, now - FREQUENT)):
            if at > now:
                break
            gone = _Gone(gone.first, gone.newest, at, gone.many)
    return gone
