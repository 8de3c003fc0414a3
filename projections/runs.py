"""Runs, as the API shows them."""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from domain.erasure import RunErased
from domain.event import Recorded
from domain.run import RunCanceled, RunFailed, RunRequested, RunRetried, RunStarted, RunSucceeded
from projections.projection import METADATA, Projection, Row, Write, is_within, page, shown_value, text, to_json, upsert
from projections.threads import THREADS

RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False, index=True),
    sa.Column("deployment_id", sa.Text, nullable=False, index=True),
    sa.Column("version_id", sa.Text, nullable=False),
    sa.Column("version_number", sa.Integer, nullable=False),
    sa.Column("thread_id", sa.Text, index=True),
    sa.Column("rerun_of", sa.Text),
    sa.Column("schedule_id", sa.Text, index=True),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("input", sa.Text),
    sa.Column("stored_input", sa.Text),
    sa.Column("output", sa.Text),
    sa.Column("stored_output", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("started_at", sa.Text),
    sa.Column("completed_at", sa.Text),
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("erased", sa.Boolean, nullable=False),
    sa.Index("runs_by_status", "status", "position"),
    sa.Index("runs_by_end", "deployment_id", "erased", "completed_at"),
)

INSERT = upsert(RUNS)
START = (
    sa.update(RUNS).where(RUNS.c.id == sa.bindparam("run")).values(status="running", started_at=sa.bindparam("started"))
)
RETRY = sa.update(RUNS).where(RUNS.c.id == sa.bindparam("run")).values(status="pending", attempt=sa.bindparam("next"))
END = (
    sa.update(RUNS)
    .where(RUNS.c.id == sa.bindparam("run"))
    .values(
        status=sa.bindparam("ended"),
        output=sa.bindparam("result"),
        stored_output=sa.bindparam("stored"),
        error_message=sa.bindparam("error"),
        reason=sa.bindparam("why"),
        completed_at=sa.bindparam("completed"),
        duration_ms=sa.bindparam("took"),
    )
)
ERASE = (
    sa.update(RUNS)
    .where(RUNS.c.id == sa.bindparam("run"))
    .values(**dict.fromkeys(("input", "stored_input", "output", "stored_output", "error_message")), erased=sa.true())
)

GET = sa.select(RUNS).where(RUNS.c.id == sa.bindparam("id"))
FILTERS = ("deployment_id", "status", "thread_id", "environment", "version_id", "schedule_id")
_IS_UNFINISHED = sa.or_(RUNS.c.status == "pending", RUNS.c.status == "running")
UNFINISHED = (
    sa.select(RUNS.c.id, RUNS.c.deployment_id, RUNS.c.created_at).where(_IS_UNFINISHED).order_by(RUNS.c.position)
)
COUNT_UNFINISHED = sa.select(sa.func.count().label("runs")).where(
    RUNS.c.deployment_id == sa.bindparam("deployment_id"), _IS_UNFINISHED
)

COUNT_OF_SCHEDULE = sa.select(sa.func.count().label("runs")).where(
    RUNS.c.schedule_id == sa.bindparam("schedule_id"), _IS_UNFINISHED
)

# What a thread was left by is kept while the thread is: somebody may come back to it.
_IS_THE_LAST = sa.exists().where(THREADS.c.id == RUNS.c.thread_id, THREADS.c.last_run_id == RUNS.c.id)
_ERASABLE = sa.and_(
    RUNS.c.deployment_id == sa.bindparam("deployment_id"),
    RUNS.c.erased == sa.false(),
    RUNS.c.completed_at.is_not(None),
    sa.not_(_IS_THE_LAST),
)
_SOME = sa.bindparam("limit", type_=sa.Integer)
OLDER = (
    sa.select(RUNS.c.id)
    .where(_ERASABLE, RUNS.c.completed_at < sa.bindparam("before"))
    .order_by(RUNS.c.completed_at)
    .limit(_SOME)
)
BEYOND = page(sa.select(RUNS.c.id).where(_ERASABLE).order_by(RUNS.c.completed_at.desc()))


@cache
def listing(filters: tuple[str, ...], bound: int | None = None) -> "sa.Select[Any]":
    """Runs, newest first, with these columns at given values; of so many deployments alone."""
    conditions = [RUNS.c[name] == sa.bindparam(name) for name in filters]
    conditions += [RUNS.c.kind == "run", *is_within(RUNS.c.deployment_id, bound)]
    return page(sa.select(RUNS).where(*conditions).order_by(RUNS.c.position.desc()))


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about runs."""
    match recorded.event:
        case RunRequested() as run:
            yield Write(INSERT, _new(recorded, run))
        case RunStarted(run_id=run_id, started_at=started_at):
            yield Write(START, {"run": run_id, "started": text(started_at)})
        case RunRetried(run_id=run_id, attempt=attempt):
            yield Write(RETRY, {"run": run_id, "next": attempt})
        case RunSucceeded() as end:
            yield _end(
                recorded,
                end.run_id,
                "succeeded",
                result=to_json(end.result),
                stored=to_json(end.stored_result) if end.stored_result else None,
                took=end.duration_ms,
            )
        case RunFailed() as end:
            yield _end(recorded, end.run_id, "failed", error=end.error, why=end.reason, took=end.duration_ms)
        case RunCanceled(run_id=run_id):
            yield _end(recorded, run_id, "canceled")
        case RunErased(run_id=run_id):
            yield Write(ERASE, {"run": run_id})


def _new(recorded: Recorded, run: RunRequested) -> dict[str, Any]:
    row = dict.fromkeys(column.name for column in RUNS.columns)
    return {
        **row,
        "id": run.run_id,
        "position": recorded.position,
        "deployment_id": run.deployment_id,
        "version_id": run.version_id,
        "version_number": run.version_number,
        "thread_id": run.thread_id,
        "rerun_of": run.rerun_of,
        "schedule_id": run.schedule_id,
        "environment": run.environment,
        "kind": run.kind,
        "status": "pending",
        "attempt": 1,
        "input": None if recorded.erased else to_json(run.input if run.input is not None else {}),
        "stored_input": to_json(run.stored_input) if run.stored_input else None,
        "created_at": text(recorded.at),
        "erased": recorded.erased,
    }


def _end(
    recorded: Recorded,
    run_id: str,
    status: str,
    *,
    result: str | None = None,
    stored: str | None = None,
    error: str | None = None,
    why: str | None = None,
    took: int | None = None,
) -> Write:
    values = {
        "run": run_id,
        "ended": status,
        "result": result,
        "stored": stored,
        "error": error,
        "why": why,
        "completed": text(recorded.at),
        "took": took,
    }
    return Write(END, values)


def public(row: Row) -> dict[str, Any]:
    """A run as the API shows it; of a large `input` or `output`, how it begins."""
    shown = {
        "id": row["id"],
        "deployment_id": row["deployment_id"],
        "version_id": row["version_id"],
        "version_number": row["version_number"],
        "thread_id": row["thread_id"],
        "rerun_of": row["rerun_of"],
        "schedule_id": row["schedule_id"],
        "environment": row["environment"],
        "status": row["status"],
        "attempt": row["attempt"],
        "input": shown_value(row["input"], row["stored_input"]),
        "output": shown_value(row["output"], row["stored_output"]),
        "error_message": row["error_message"],
        "reason": row["reason"],
        "created_at": row["created_at"],
        "started_at": row["started_at"],
        "completed_at": row["completed_at"],
        "duration_ms": row["duration_ms"] if row["duration_ms"] is not None else _duration(row),
    }
    return {**shown, "erased": True} if row["erased"] else shown


def _duration(row: Row) -> int | None:
    if row["started_at"] is None or row["completed_at"] is None:
        return None
    took = datetime.fromisoformat(row["completed_at"]) - datetime.fromisoformat(row["started_at"])
    return max(0, round(took.total_seconds() * 1000))


RUNS_VIEW = Projection("runs", 4, (RUNS,), project)
