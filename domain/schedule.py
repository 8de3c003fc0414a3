"""A deployment's schedules: runs that begin by the clock. Each tick is a stream of its own, so that it happens once."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from domain.deployment import Environment
from domain.errors import BadRequest, NotFound
from domain.event import Event, Sealed
from domain.output import Stored

Overlap = Literal["skip", "queue", "allow"]
OVERLAPS: tuple[Overlap, ...] = ("skip", "queue", "allow")
Outcome = Literal["started", "skipped", "missed"]
MOST_SCHEDULES = 50
LONGEST_NAME = 100
LONGEST_CATCH_UP = 7 * 86400


class ScheduleCreated(Event, tag="schedule.created", frozen=True, kw_only=True):
    """Runs are to begin at the times of a cron expression from `since` on. `catch_up` is in seconds."""

    schedule_id: str
    deployment_id: str
    name: str | None
    cron: str
    timezone: str
    environment: Environment
    overlap: Overlap
    catch_up: int
    since: datetime
    input: Sealed[dict[str, Any]] = None
    stored_input: Stored | None = None


class ScheduleChanged(Event, tag="schedule.changed", frozen=True, kw_only=True):
    """What is given here is so from `since` on; the rest stays. An input, in either form, replaces the one before."""

    schedule_id: str
    since: datetime
    name: str | None = None
    cron: str | None = None
    timezone: str | None = None
    environment: Environment | None = None
    overlap: Overlap | None = None
    catch_up: int | None = None
    input: Sealed[dict[str, Any]] = None
    stored_input: Stored | None = None


class SchedulePaused(Event, tag="schedule.paused", frozen=True, kw_only=True):
    """No run begins until it is resumed."""

    schedule_id: str


class ScheduleResumed(Event, tag="schedule.resumed", frozen=True, kw_only=True):
    """Runs begin again at the times behind `since`; those in between are not made up for."""

    schedule_id: str
    since: datetime


class ScheduleDeleted(Event, tag="schedule.deleted", frozen=True, kw_only=True):
    """No run begins any more."""

    schedule_id: str


class Ticked(Event, tag="schedule.ticked", frozen=True, kw_only=True):
    """What came of a time: a run, or why there is none. A missed one stands for `count` times from `first` on."""

    schedule_id: str
    deployment_id: str
    at: datetime
    outcome: Outcome
    run_id: str | None = None
    reason: str | None = None
    first: datetime | None = None
    count: int = 1


ScheduleEvent = ScheduleCreated | ScheduleChanged | SchedulePaused | ScheduleResumed | ScheduleDeleted


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a schedule depend on."""

    id: str
    deployment_id: str
    name: str | None
    cron: str
    timezone: str
    environment: Environment
    overlap: Overlap
    catch_up: int
    since: datetime
    input: dict[str, Any] | None = None
    stored_input: Stored | None = None
    paused: bool = False


class Schedules(msgspec.Struct, frozen=True):
    """All schedules of a deployment by their ids."""

    by_id: dict[str, Schedule] = {}

    def find(self, schedule_id: str) -> Schedule:
        """The schedule; raises NotFound."""
        if schedule_id not in self.by_id:
            raise NotFound(f"Schedule {schedule_id[:80]} not found")
        return self.by_id[schedule_id]


def stream(deployment_id: str) -> str:
    """The stream of a deployment's schedules."""
    return f"{deployment_id}:schedules"


def tick_stream(schedule_id: str, at: datetime) -> str:
    """The stream of one time of a schedule: whoever writes its first event decides what came of it."""
    return f"{schedule_id}@{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def ticked(_: Ticked | None, event: Ticked) -> Ticked:
    """What came of a time."""
    return event


def evolve(schedules: Schedules | None, event: ScheduleEvent) -> Schedules:
    """The schedules after the event."""
    before = schedules.by_id if schedules else {}
    if isinstance(event, ScheduleDeleted):
        return Schedules({name: one for name, one in before.items() if name != event.schedule_id})
    return Schedules({**before, event.schedule_id: _evolved(before.get(event.schedule_id), event)})


def _evolved(schedule: Schedule | None, event: ScheduleEvent) -> Schedule:
    if isinstance(event, ScheduleCreated):
        fields = {name: getattr(event, name) for name in event.__struct_fields__ if name != "schedule_id"}
        return Schedule(id=event.schedule_id, **fields)
    if schedule is None:
        raise ValueError(f"{event.tag()} before schedule.created")
    match event:
        case ScheduleChanged():
            given = {name: getattr(event, name) for name in event.__struct_fields__ if name != "schedule_id"}
            given = {name: value for name, value in given.items() if value is not None}
            if "input" in given or "stored_input" in given:
                given = {"input": None, "stored_input": None, **given}
            return msgspec.structs.replace(schedule, **given)
        case SchedulePaused():
            return msgspec.structs.replace(schedule, paused=True)
        case ScheduleResumed(since=since):
            return msgspec.structs.replace(schedule, paused=False, since=since)
    raise ValueError(f"{event.tag()} does not fit schedule {event.schedule_id}")


def create(schedules: Schedules | None, created: ScheduleCreated) -> list[ScheduleEvent]:
    """A deployment has so many schedules at most."""
    if schedules is not None and len(schedules.by_id) >= MOST_SCHEDULES:
        raise BadRequest(f"A deployment has at most {MOST_SCHEDULES} schedules")
    _check(created.name, created.catch_up)
    return [created]


def change(schedules: Schedules | None, changed: ScheduleChanged) -> list[ScheduleEvent]:
    """Only what is there can be changed."""
    (schedules or Schedules()).find(changed.schedule_id)
    _check(changed.name, changed.catch_up)
    return [changed]


def pause(schedules: Schedules | None, schedule_id: str) -> list[ScheduleEvent]:
    """Pausing what is paused changes nothing."""
    paused = (schedules or Schedules()).find(schedule_id).paused
    return [] if paused else [SchedulePaused(schedule_id=schedule_id)]


def resume(schedules: Schedules | None, schedule_id: str, now: datetime) -> list[ScheduleEvent]:
    """Resuming what goes on changes nothing."""
    paused = (schedules or Schedules()).find(schedule_id).paused
    return [ScheduleResumed(schedule_id=schedule_id, since=now)] if paused else []


def delete(schedules: Schedules | None, schedule_id: str) -> list[ScheduleEvent]:
    """Only what is there can be deleted."""
    (schedules or Schedules()).find(schedule_id)
    return [ScheduleDeleted(schedule_id=schedule_id)]


def _check(name: str | None, catch_up: int | None) -> None:
    if name is not None and not 1 <= len(name.strip()) <= LONGEST_NAME:
        raise BadRequest(f"name: 1 to {LONGEST_NAME} characters")
    if catch_up is not None and not 0 <= catch_up <= LONGEST_CATCH_UP:
        raise BadRequest(f"catch_up_seconds: from 0 to {LONGEST_CATCH_UP}, which is a week")
