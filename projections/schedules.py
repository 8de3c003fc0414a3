"""Schedules, and what came of their times."""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from domain.deployment import DeploymentDeleted
from domain.event import Recorded
from domain.schedule import (
    ScheduleChanged,
    ScheduleCreated,
    ScheduleDeleted,
    SchedulePaused,
    ScheduleResumed,
    Ticked,
)
from projections.projection import METADATA, Projection, Row, Write, page, shown_value, text, to_json, upsert

SCHEDULES = sa.Table(
    "schedules",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("deployment_id", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("cron", sa.Text, nullable=False),
    sa.Column("timezone", sa.Text, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("overlap", sa.Text, nullable=False),
    sa.Column("catch_up", sa.Integer, nullable=False),
    sa.Column("input", sa.Text),
    sa.Column("stored_input", sa.Text),
    sa.Column("paused_at", sa.Text),
    sa.Column("since", sa.Text, nullable=False),
    sa.Column("last_at", sa.Text),
    sa.Column("last_run_id", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.Index("schedules_by_deployment", "deployment_id", "position"),
)
TICKS = sa.Table(
    "schedule_ticks",
    METADATA,
    sa.Column("schedule_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, primary_key=True),
    sa.Column("deployment_id", sa.Text, nullable=False, index=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("first", sa.Text),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("recorded_at", sa.Text, nullable=False),
)

PUT = upsert(SCHEDULES)
PUT_TICK = upsert(TICKS)
_THIS = SCHEDULES.c.id == sa.bindparam("schedule")
LAST = sa.update(SCHEDULES).where(_THIS).values(last_at=sa.bindparam("last"))
LAST_RUN = sa.update(SCHEDULES).where(_THIS).values(last_at=sa.bindparam("last"), last_run_id=sa.bindparam("run"))
PAUSE = sa.update(SCHEDULES).where(_THIS).values(paused_at=sa.bindparam("paused"), updated_at=sa.bindparam("updated"))
RESUME = (
    sa.update(SCHEDULES)
    .where(_THIS)
    .values(paused_at=None, since=sa.bindparam("begins"), updated_at=sa.bindparam("updated"))
)
DROP = sa.delete(SCHEDULES).where(_THIS)
DROP_TICKS = sa.delete(TICKS).where(TICKS.c.schedule_id == sa.bindparam("schedule"))
DROP_OF_DEPLOYMENT = tuple(
    sa.delete(table).where(table.c.deployment_id == sa.bindparam("deployment")) for table in (SCHEDULES, TICKS)
)

ACTIVE = sa.select(SCHEDULES.c.id, SCHEDULES.c.deployment_id, SCHEDULES.c.since, SCHEDULES.c.last_at).where(
    SCHEDULES.c.paused_at.is_(None)
)
GET = sa.select(SCHEDULES).where(
    SCHEDULES.c.deployment_id == sa.bindparam("deployment_id"), SCHEDULES.c.id == sa.bindparam("id")
)
LIST = page(
    sa.select(SCHEDULES)
    .where(SCHEDULES.c.deployment_id == sa.bindparam("deployment_id"))
    .order_by(SCHEDULES.c.position.desc())
)
HISTORY = page(sa.select(TICKS).where(TICKS.c.schedule_id == sa.bindparam("schedule_id")).order_by(TICKS.c.at.desc()))


@cache
def _changing(columns: tuple[str, ...]) -> "sa.Update":
    given: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in columns}
    return sa.update(SCHEDULES).where(_THIS).values(**given, updated_at=sa.bindparam("updated"))


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about schedules."""
    at = text(recorded.at)
    match recorded.event:
        case ScheduleCreated() as created:
            yield Write(PUT, _new(recorded, created))
        case ScheduleChanged(schedule_id=schedule_id) as changed:
            given = _given(changed)
            values = {"schedule": schedule_id, "updated": at, **{f"new_{name}": new for name, new in given.items()}}
            yield Write(_changing(tuple(given)), values)
        case SchedulePaused(schedule_id=schedule_id):
            yield Write(PAUSE, {"schedule": schedule_id, "paused": at, "updated": at})
        case ScheduleResumed(schedule_id=schedule_id, since=since):
            yield Write(RESUME, {"schedule": schedule_id, "begins": text(since), "updated": at})
        case ScheduleDeleted(schedule_id=schedule_id):
            yield Write(DROP, {"schedule": schedule_id})
            yield Write(DROP_TICKS, {"schedule": schedule_id})
        case DeploymentDeleted(deployment_id=deployment_id):
            yield from (Write(statement, {"deployment": deployment_id}) for statement in DROP_OF_DEPLOYMENT)
        case Ticked(schedule_id=schedule_id) as tick:
            yield Write(PUT_TICK, _tick(recorded, tick))
            last = {"schedule": schedule_id, "last": text(tick.at)}
            yield Write(LAST_RUN, {**last, "run": tick.run_id}) if tick.run_id else Write(LAST, last)


def _new(recorded: Recorded, created: ScheduleCreated) -> dict[str, Any]:
    row = dict.fromkeys(column.name for column in SCHEDULES.columns)
    row |= {name: getattr(created, name) for name in ("deployment_id", "name", "cron", "timezone", "environment")}
    row |= {"id": created.schedule_id, "position": recorded.position, "since": text(created.since)}
    row |= {"overlap": created.overlap, "catch_up": created.catch_up}
    return {**row, **_input(created), "created_at": text(recorded.at), "updated_at": text(recorded.at)}


def _given(changed: ScheduleChanged) -> dict[str, Any]:
    names = ("name", "cron", "timezone", "environment", "overlap", "catch_up")
    given = {name: getattr(changed, name) for name in names if getattr(changed, name) is not None}
    if changed.input is not None or changed.stored_input is not None:
        given |= _input(changed)
    return {**given, "since": text(changed.since)}


def _input(event: ScheduleCreated | ScheduleChanged) -> dict[str, str | None]:
    stored = to_json(event.stored_input) if event.stored_input else None
    return {"input": to_json(event.input) if event.input is not None else None, "stored_input": stored}


def _tick(recorded: Recorded, tick: Ticked) -> dict[str, Any]:
    shared = {name: getattr(tick, name) for name in ("schedule_id", "deployment_id", "outcome", "run_id", "reason")}
    times = {"at": text(tick.at), "first": text(tick.first), "recorded_at": text(recorded.at)}
    return {**shared, **times, "count": tick.count}


def anchor(row: Row) -> datetime:
    """The moment behind which the next time of a schedule lies."""
    return datetime.fromisoformat(max(row["since"], row["last_at"] or ""))


def public(row: Row) -> dict[str, Any]:
    """A schedule as the API shows it."""
    names = ("id", "deployment_id", "name", "cron", "timezone", "environment", "overlap", "last_at", "last_run_id")
    shown = {name: row[name] for name in names}
    paused = {"status": "active" if row["paused_at"] is None else "paused", "catch_up_seconds": row["catch_up"]}
    times = {name: row[name] for name in ("created_at", "updated_at")}
    return {**shown, **paused, "input": shown_value(row["input"], row["stored_input"]), **times}


def public_tick(row: Row) -> dict[str, Any]:
    """What came of a time, as the API shows it."""
    return {name: row[name] for name in ("at", "outcome", "run_id", "reason", "first", "count", "recorded_at")}


SCHEDULES_VIEW = Projection("schedules", 1, (SCHEDULES, TICKS), project)
