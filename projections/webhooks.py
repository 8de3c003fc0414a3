"""Webhooks, what was delivered to whom, and what came of each attempt. Never a token or a secret."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa

from domain.delivery import AttemptBegun, AttemptEnded, DeliveryRequested, DeliveryRequeued
from domain.deployment import DeploymentDeleted
from domain.erasure import RunErased
from domain.event import Recorded
from domain.webhook import (
    IncomingCreated,
    OutgoingCreated,
    SecretRotated,
    TokenRotated,
    WebhookChanged,
    WebhookDeleted,
    WebhookPaused,
    WebhookResumed,
)
from projections.projection import METADATA, Projection, Row, Write, from_json, page, text, to_json, upsert

WEBHOOKS = sa.Table(
    "webhooks",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("deployment_id", sa.Text, nullable=False),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("environment", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("events", sa.Text),
    sa.Column("paused_at", sa.Text),
    sa.Column("paused_reason", sa.Text),
    sa.Column("resumed_at", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.Index("webhooks_by_deployment", "deployment_id", "position"),
)
DELIVERIES = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("webhook_id", sa.Text, nullable=False),
    sa.Column("deployment_id", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, index=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.Text),
    sa.Column("held_by", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("completed_at", sa.Text),
    sa.Index("deliveries_by_webhook", "webhook_id", "position"),
    sa.Index("deliveries_by_status", "status", "webhook_id", "due_at"),
)
ATTEMPTS = sa.Table(
    "delivery_attempts",
    METADATA,
    sa.Column("delivery_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("webhook_id", sa.Text, nullable=False),
    sa.Column("deployment_id", sa.Text, nullable=False, index=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("status_code", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("response", sa.Text),
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("started_at", sa.Text, nullable=False),
    sa.Column("ended_at", sa.Text),
    sa.Index("attempts_by_webhook", "webhook_id", "outcome", "ended_at"),
)
OF_DEPLOYMENT = (WEBHOOKS, DELIVERIES, ATTEMPTS)

PUT_WEBHOOK = upsert(WEBHOOKS)
PUT_DELIVERY = upsert(DELIVERIES)
_HOOK = WEBHOOKS.c.id == sa.bindparam("webhook")
_DELIVERY = DELIVERIES.c.id == sa.bindparam("delivery")
_ATTEMPT = sa.and_(ATTEMPTS.c.delivery_id == sa.bindparam("delivery"), ATTEMPTS.c.number == sa.bindparam("try"))
PAUSE = sa.update(WEBHOOKS).where(_HOOK).values(paused_at=sa.bindparam("paused"), paused_reason=sa.bindparam("why"))
RESUME = sa.update(WEBHOOKS).where(_HOOK).values(paused_at=None, paused_reason=None, resumed_at=sa.bindparam("resumed"))
DROP_OF_WEBHOOK = (
    sa.delete(WEBHOOKS).where(_HOOK),
    sa.delete(DELIVERIES).where(DELIVERIES.c.webhook_id == sa.bindparam("webhook")),
    sa.delete(ATTEMPTS).where(ATTEMPTS.c.webhook_id == sa.bindparam("webhook")),
)
DROP_OF_DEPLOYMENT = tuple(
    sa.delete(table).where(table.c.deployment_id == sa.bindparam("deployment")) for table in OF_DEPLOYMENT
)
HOLD = (
    sa.update(DELIVERIES)
    .where(_DELIVERY)
    .values(attempts=sa.bindparam("try"), due_at=sa.bindparam("due"), held_by=sa.bindparam("holder"))
)
SETTLE = (
    sa.update(DELIVERIES)
    .where(_DELIVERY)
    .values(
        status=sa.bindparam("now"),
        due_at=sa.bindparam("due"),
        held_by=None,
        completed_at=sa.bindparam("completed"),
    )
)
BEGIN = upsert(ATTEMPTS)
END = (
    sa.update(ATTEMPTS)
    .where(_ATTEMPT)
    .values(
        outcome=sa.bindparam("came_of_it"),
        status_code=sa.bindparam("code"),
        error=sa.bindparam("fault"),
        response=sa.bindparam("answer"),
        duration_ms=sa.bindparam("took"),
        ended_at=sa.bindparam("ended"),
    )
)
FORGET = (
    sa.update(ATTEMPTS)
    .where(ATTEMPTS.c.delivery_id.in_(sa.select(DELIVERIES.c.id).where(DELIVERIES.c.run_id == sa.bindparam("run"))))
    .values(response=None)
)

GET = sa.select(WEBHOOKS).where(
    WEBHOOKS.c.deployment_id == sa.bindparam("deployment_id"), WEBHOOKS.c.id == sa.bindparam("id")
)
GET_DELIVERY = sa.select(DELIVERIES).where(
    DELIVERIES.c.webhook_id == sa.bindparam("webhook_id"), DELIVERIES.c.id == sa.bindparam("id")
)
ATTEMPTS_OF = (
    sa.select(ATTEMPTS).where(ATTEMPTS.c.delivery_id == sa.bindparam("delivery_id")).order_by(ATTEMPTS.c.number)
)
_WAITING = (
    sa.select(DELIVERIES)
    .where(DELIVERIES.c.status == "pending", DELIVERIES.c.webhook_id == sa.bindparam("webhook_id"))
    .order_by(DELIVERIES.c.due_at, DELIVERIES.c.position)
)
WAITING = _WAITING.limit(sa.bindparam("limit", type_=sa.Integer))
WAITING_PINGS = _WAITING.where(DELIVERIES.c.kind == "ping").limit(sa.bindparam("limit", type_=sa.Integer))
AWAITED = (
    sa.select(DELIVERIES.c.webhook_id, DELIVERIES.c.deployment_id).where(DELIVERIES.c.status == "pending").distinct()
)
LAST_SUCCESS = sa.select(sa.func.max(ATTEMPTS.c.ended_at).label("at")).where(
    ATTEMPTS.c.webhook_id == sa.bindparam("webhook_id"), ATTEMPTS.c.outcome == "succeeded"
)
FAILURES_SINCE = sa.select(sa.func.count().label("failures"), sa.func.min(ATTEMPTS.c.ended_at).label("first_at")).where(
    ATTEMPTS.c.webhook_id == sa.bindparam("webhook_id"),
    ATTEMPTS.c.outcome == "failed",
    ATTEMPTS.c.ended_at > sa.bindparam("since"),
)


@cache
def listing(filters: tuple[str, ...]) -> "sa.Select[Any]":
    """A deployment's webhooks, newest first, with these columns at given values."""
    conditions = [WEBHOOKS.c[name] == sa.bindparam(name) for name in ("deployment_id", *filters)]
    return page(sa.select(WEBHOOKS).where(*conditions).order_by(WEBHOOKS.c.position.desc()))


@cache
def deliveries(filters: tuple[str, ...]) -> "sa.Select[Any]":
    """A webhook's deliveries, newest first, with these columns at given values."""
    conditions = [DELIVERIES.c[name] == sa.bindparam(name) for name in ("webhook_id", *filters)]
    return page(sa.select(DELIVERIES).where(*conditions).order_by(DELIVERIES.c.position.desc()))


@cache
def _changing(columns: tuple[str, ...]) -> "sa.Update":
    given: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in columns}
    return sa.update(WEBHOOKS).where(_HOOK).values(**given, updated_at=sa.bindparam("updated"))


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about webhooks and deliveries."""
    event, at = recorded.event, text(recorded.at)
    match event:
        case IncomingCreated() | OutgoingCreated():
            yield Write(PUT_WEBHOOK, _new(recorded, event))
        case WebhookChanged(webhook_id=webhook_id):
            new = {"name": event.name, "environment": event.environment, "url": event.url}
            new["events"] = to_json(event.events) if event.events else None
            given = {name: value for name, value in new.items() if value is not None}
            values = {"webhook": webhook_id, "updated": at, **{f"new_{name}": value for name, value in given.items()}}
            yield Write(_changing(tuple(given)), values)
        case TokenRotated(webhook_id=webhook_id) | SecretRotated(webhook_id=webhook_id):
            yield Write(_changing(()), {"webhook": webhook_id, "updated": at})
        case WebhookPaused(webhook_id=webhook_id, reason=reason):
            yield Write(PAUSE, {"webhook": webhook_id, "paused": at, "why": reason})
        case WebhookResumed(webhook_id=webhook_id):
            yield Write(RESUME, {"webhook": webhook_id, "resumed": at})
        case WebhookDeleted(webhook_id=webhook_id):
            yield from (Write(statement, {"webhook": webhook_id}) for statement in DROP_OF_WEBHOOK)
        case DeploymentDeleted(deployment_id=deployment_id):
            yield from (Write(statement, {"deployment": deployment_id}) for statement in DROP_OF_DEPLOYMENT)
        case RunErased(run_id=run_id):
            yield Write(FORGET, {"run": run_id})
        case _:
            yield from _project_delivery(recorded)


def _project_delivery(recorded: Recorded) -> Iterator[Write]:
    match recorded.event:
        case DeliveryRequested() as wanted:
            row = dict.fromkeys(column.name for column in DELIVERIES.columns)
            row |= {name: getattr(wanted, name) for name in ("webhook_id", "deployment_id", "kind", "run_id")}
            place = {"id": wanted.delivery_id, "position": recorded.position, "stream": recorded.stream}
            begun = {"status": "pending", "attempts": 0, "due_at": text(wanted.at), "created_at": text(wanted.at)}
            yield Write(PUT_DELIVERY, {**row, **place, **begun})
        case AttemptBegun(delivery_id=delivery_id, number=number) as begin:
            holder = f"{begin.server_id}@{begin.epoch}"
            yield Write(HOLD, {"delivery": delivery_id, "try": number, "due": text(begin.until), "holder": holder})
            yield Write(BEGIN, _begun(recorded, begin))
        case AttemptEnded(delivery_id=delivery_id, number=number) as end:
            status = "succeeded" if end.succeeded else "failed" if end.retry_at is None else "pending"
            completed = None if status == "pending" else text(recorded.at)
            values = {"delivery": delivery_id, "now": status, "due": text(end.retry_at), "completed": completed}
            yield Write(SETTLE, values)
            yield Write(END, _ended(recorded, end))
        case DeliveryRequeued(delivery_id=delivery_id, at=at):
            yield Write(SETTLE, {"delivery": delivery_id, "now": "pending", "due": text(at), "completed": None})


def _new(recorded: Recorded, event: IncomingCreated | OutgoingCreated) -> dict[str, Any]:
    row = dict.fromkeys(column.name for column in WEBHOOKS.columns)
    at = text(recorded.at)
    row |= {"id": event.webhook_id, "position": recorded.position, "deployment_id": event.deployment_id}
    row |= {"name": event.name, "created_at": at, "updated_at": at}
    if isinstance(event, IncomingCreated):
        return {**row, "direction": "incoming", "environment": event.environment}
    return {**row, "direction": "outgoing", "url": event.url, "events": to_json(event.events)}


def _begun(recorded: Recorded, event: AttemptBegun) -> dict[str, Any]:
    _, _, webhook_id, _ = recorded.stream.split(":")
    row = dict.fromkeys(column.name for column in ATTEMPTS.columns)
    place = {"delivery_id": event.delivery_id, "number": event.number, "webhook_id": webhook_id}
    deployment_id = recorded.stream.partition(":")[0]
    return {**row, **place, "deployment_id": deployment_id, "outcome": "unknown", "started_at": text(recorded.at)}


def _ended(recorded: Recorded, event: AttemptEnded) -> dict[str, Any]:
    return {
        "delivery": event.delivery_id,
        "try": event.number,
        "came_of_it": "succeeded" if event.succeeded else "failed",
        "code": event.status_code,
        "fault": event.error,
        "answer": event.response,
        "took": event.duration_ms,
        "ended": text(recorded.at),
    }


def public(row: Row) -> dict[str, Any]:
    """A webhook as the API shows it."""
    shared = {name: row[name] for name in ("id", "deployment_id", "direction", "name")}
    times = {name: row[name] for name in ("created_at", "updated_at")}
    if row["direction"] == "incoming":
        return {**shared, "environment": row["environment"], **times}
    paused = {name: row[name] for name in ("paused_at", "paused_reason")}
    status = "active" if row["paused_at"] is None else "paused"
    return {**shared, "url": row["url"], "events": from_json(row["events"]), "status": status, **paused, **times}


def public_delivery(row: Row) -> dict[str, Any]:
    """A delivery as the API shows it; `next_attempt_at` where one is to come."""
    shown = {name: row[name] for name in ("id", "webhook_id", "run_id", "status", "attempts")}
    times = {"created_at": row["created_at"], "completed_at": row["completed_at"], "next_attempt_at": row["due_at"]}
    return {**shown, "event": row["kind"], **times}


def public_attempt(row: Row) -> dict[str, Any]:
    """An attempt as the API shows it. `unknown` is one that is under way, or that a crash has cut off."""
    names = ("number", "outcome", "status_code", "error", "response", "duration_ms", "started_at", "ended_at")
    return {name: row[name] for name in names}


WEBHOOKS_VIEW = Projection("webhooks", 2, (WEBHOOKS, DELIVERIES, ATTEMPTS), project)
