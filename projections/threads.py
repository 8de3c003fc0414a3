"""Threads, and the checkpoints that one can look back at, as the API shows them."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.erasure import ThreadErased
from domain.event import Recorded
from domain.thread import (
    CheckpointSaved,
    Freed,
    Mended,
    MetadataChanged,
    RunTaken,
    StateSet,
    ThreadCreated,
    ThreadDeleted,
)
from projections.projection import METADATA, Projection, Row, Write, from_json, page, shown_value, text, to_json, upsert

THREADS = sa.Table(
    "threads",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False, index=True),
    sa.Column("deployment_id", sa.Text, nullable=False, index=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text),
    sa.Column("values", sa.Text),
    sa.Column("stored_values", sa.Text),
    sa.Column("interrupts", sa.Text),
    sa.Column("unusable", sa.Boolean, nullable=False),
    sa.Column("running_run_id", sa.Text),
    sa.Column("last_run_id", sa.Text),
    sa.Column("last_run_succeeded", sa.Boolean),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.Column("erased", sa.Boolean, nullable=False),
)
CHECKPOINTS = sa.Table(
    "checkpoints",
    METADATA,
    sa.Column("thread_id", sa.Text, primary_key=True),
    sa.Column("checkpoint_id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("is_state", sa.Boolean, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("parent_id", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("step", sa.Integer),
    sa.Column("values", sa.Text),
    sa.Column("stored_values", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("erased", sa.Boolean, nullable=False),
    sa.Index("checkpoints_by_age", "thread_id", "is_state", "position"),
)

PUT = upsert(THREADS)
PUT_CHECKPOINT = upsert(CHECKPOINTS)
PUT_STEP = (
    insert(CHECKPOINTS)
    .values({column.name: sa.bindparam(column.name, type_=column.type) for column in CHECKPOINTS.columns})
    .on_conflict_do_nothing(index_elements=["thread_id", "checkpoint_id"])
)
_THREAD = THREADS.c.id == sa.bindparam("thread")
_UPDATED: dict[str, Any] = {"updated_at": sa.bindparam("updated")}
TELL = sa.update(THREADS).where(_THREAD).values(metadata=sa.bindparam("data"), **_UPDATED)
TAKE = sa.update(THREADS).where(_THREAD).values(status="busy", running_run_id=sa.bindparam("run"), **_UPDATED)
_LAST: dict[str, Any] = {"last_run_id": sa.bindparam("run"), "running_run_id": sa.null()}
FREE = (
    sa.update(THREADS)
    .where(_THREAD)
    .values(
        status=sa.bindparam("left"),
        interrupts=sa.bindparam("asked"),
        last_run_succeeded=sa.true(),
        unusable=sa.false(),
        **_LAST,
        **_UPDATED,
    )
)
_WELL = sa.case((THREADS.c.interrupts.is_(None), "idle"), else_="interrupted")
# A run that left nothing good leaves the thread as it was before: idle, or waiting for the same answer.
GIVE_BACK = (
    sa.update(THREADS)
    .where(_THREAD)
    .values(
        status=sa.case((THREADS.c.unusable == sa.true(), "error"), else_=_WELL),
        last_run_succeeded=sa.false(),
        **_LAST,
        **_UPDATED,
    )
)
BREAK = (
    sa.update(THREADS)
    .where(_THREAD)
    .values(status="error", unusable=sa.true(), last_run_succeeded=sa.false(), **_LAST, **_UPDATED)
)
MEND = sa.update(THREADS).where(_THREAD).values(status=_WELL, unusable=sa.false(), **_UPDATED)
SET = (
    sa.update(THREADS)
    .where(_THREAD)
    .values({"values": sa.bindparam("state"), "stored_values": sa.bindparam("stored"), **_UPDATED})
)
_FORGOTTEN = dict.fromkeys(("metadata", "values", "stored_values", "interrupts"))
ERASE = (
    sa.update(THREADS)
    .where(_THREAD)
    .values({**_FORGOTTEN, "status": "idle", "unusable": sa.false(), "erased": sa.true(), **_UPDATED})
)
ERASE_CHECKPOINTS = (
    sa.update(CHECKPOINTS)
    .where(CHECKPOINTS.c.thread_id == sa.bindparam("thread"))
    .values({"values": None, "stored_values": None, "erased": sa.true()})
)
DROP = sa.delete(THREADS).where(_THREAD)
DROP_CHECKPOINTS = sa.delete(CHECKPOINTS).where(CHECKPOINTS.c.thread_id == sa.bindparam("thread"))

GET = sa.select(THREADS).where(THREADS.c.id == sa.bindparam("id"))
FILTERS = ("deployment_id", "status")
GET_CHECKPOINT = sa.select(CHECKPOINTS).where(
    CHECKPOINTS.c.thread_id == sa.bindparam("thread_id"), CHECKPOINTS.c.checkpoint_id == sa.bindparam("checkpoint_id")
)


@cache
def listing(filters: tuple[str, ...]) -> "sa.Select[Any]":
    """Threads, newest first, with these columns at given values."""
    conditions = [THREADS.c[name] == sa.bindparam(name) for name in filters]
    return page(sa.select(THREADS).where(*conditions).order_by(THREADS.c.position.desc()))


@cache
def history(steps: bool) -> "sa.Select[Any]":
    """A thread's checkpoints, newest first: one a run and one an edit, or every super-step."""
    conditions = [CHECKPOINTS.c.thread_id == sa.bindparam("thread_id")]
    if not steps:
        conditions.append(CHECKPOINTS.c.is_state == sa.true())
    return page(sa.select(CHECKPOINTS).where(*conditions).order_by(CHECKPOINTS.c.position.desc()))


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about threads."""
    at = text(recorded.at)
    match recorded.event:
        case ThreadCreated() as thread:
            yield Write(PUT, _new(recorded, thread))
        case MetadataChanged(thread_id=thread_id, metadata=metadata):
            yield Write(TELL, {"thread": thread_id, "data": to_json(metadata or {}), "updated": at})
        case RunTaken(thread_id=thread_id, run_id=run_id):
            yield Write(TAKE, {"thread": thread_id, "run": run_id, "updated": at})
        case Freed() as freed:
            yield _freed(freed, at)
        case Mended(thread_id=thread_id):
            yield Write(MEND, {"thread": thread_id, "updated": at})
        case ThreadDeleted(thread_id=thread_id):
            yield Write(DROP, {"thread": thread_id})
            yield Write(DROP_CHECKPOINTS, {"thread": thread_id})
        case ThreadErased(thread_id=thread_id):
            yield Write(ERASE, {"thread": thread_id, "updated": at})
            yield Write(ERASE_CHECKPOINTS, {"thread": thread_id})
        case CheckpointSaved(ns="") as step:
            yield Write(PUT_STEP, _checkpoint(recorded, step, is_state=False) | {"step": step.step})
        case StateSet() as state:
            yield Write(PUT_CHECKPOINT, _checkpoint(recorded, state, is_state=True) | {"step": None})
            stored = to_json(state.stored_values) if state.stored_values else None
            values = {"state": to_json(state.values or {}), "stored": stored}
            yield Write(SET, {"thread": state.thread_id, **values, "updated": at})


def _new(recorded: Recorded, thread: ThreadCreated) -> dict[str, Any]:
    at = text(recorded.at)
    return {
        **dict.fromkeys(column.name for column in THREADS.columns),
        "id": thread.thread_id,
        "position": recorded.position,
        "deployment_id": thread.deployment_id,
        "status": "idle",
        "metadata": to_json(thread.metadata or {}),
        "values": to_json({}),
        "unusable": False,
        "created_at": at,
        "updated_at": at,
        "erased": recorded.erased,
    }


def _freed(freed: Freed, at: str | None) -> Write:
    known = {"thread": freed.thread_id, "run": freed.run_id, "updated": at}
    if not freed.succeeded:
        return Write(BREAK if freed.unusable else GIVE_BACK, known)
    asked = to_json(freed.interrupts or []) if freed.interrupted else None
    return Write(FREE, {**known, "left": "interrupted" if freed.interrupted else "idle", "asked": asked})


def _checkpoint(recorded: Recorded, event: CheckpointSaved | StateSet, *, is_state: bool) -> dict[str, Any]:
    return {
        "thread_id": event.thread_id,
        "checkpoint_id": event.checkpoint_id,
        "position": recorded.position,
        "is_state": is_state,
        "run_id": event.run_id,
        "parent_id": event.parent_id,
        "source": event.source,
        "values": None if recorded.erased else to_json(event.values),
        "stored_values": to_json(event.stored_values) if event.stored_values else None,
        "created_at": text(recorded.happened_at),
        "erased": recorded.erased,
    }


def public(row: Row) -> dict[str, Any]:
    """A thread as the API shows it; of large values, how they begin."""
    last = {"run_id": row["last_run_id"], "succeeded": bool(row["last_run_succeeded"])} if row["last_run_id"] else None
    shown = {
        "thread_id": row["id"],
        "deployment_id": row["deployment_id"],
        "status": row["status"],
        "metadata": from_json(row["metadata"]),
        "values": shown_value(row["values"], row["stored_values"]),
        "interrupts": from_json(row["interrupts"]),
        "running_run_id": row["running_run_id"],
        "last_run": last,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
    return {**shown, "erased": True} if row["erased"] else shown


def public_checkpoint(row: Row) -> dict[str, Any]:
    """A checkpoint as the API shows it; of large values, how they begin."""
    shown = {name: row[name] for name in ("checkpoint_id", "run_id", "parent_id", "source", "created_at")}
    shown["values"] = shown_value(row["values"], row["stored_values"])
    return {**shown, "erased": True} if row["erased"] else shown


THREADS_VIEW = Projection("threads", 3, (THREADS, CHECKPOINTS), project)
