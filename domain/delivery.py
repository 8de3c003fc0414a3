"""A delivery: one thing that happened, told to one endpoint until it has heard it or a day has passed."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from domain.errors import Conflict
from domain.event import Event, Sealed
from domain.webhook import Notice

Kind = Notice | Literal["ping"]
Status = Literal["pending", "succeeded", "failed"]
RETRIED_FOR = timedelta(days=1)


class DeliveryRequested(Event, tag="delivery.requested", frozen=True, kw_only=True):
    """An endpoint is to hear of a run's end, or of nothing but that somebody tries it out."""

    delivery_id: str
    webhook_id: str
    deployment_id: str
    kind: Kind
    at: datetime
    run_id: str | None = None


class AttemptBegun(Event, tag="delivery.attempt_begun", frozen=True, kw_only=True):
    """A server sends it now; no other does before `until`, by when that one has succeeded, failed, or died."""

    delivery_id: str
    number: int
    server_id: str
    epoch: int
    until: datetime


class AttemptEnded(Event, tag="delivery.attempt_ended", frozen=True, kw_only=True):
    """What came of an attempt: a status, or the error that kept one from coming. `retry_at`: when the next is due."""

    delivery_id: str
    number: int
    succeeded: bool
    duration_ms: int
    status_code: int | None = None
    error: str | None = None
    retry_at: datetime | None = None
    response: Sealed[str] = None


class DeliveryRequeued(Event, tag="delivery.requeued", frozen=True, kw_only=True):
    """Somebody wants it sent again; it is retried for another day."""

    delivery_id: str
    at: datetime


class NotifierAdvanced(Event, tag="notifier.advanced", frozen=True, kw_only=True):
    """All that ended up to a position of the log has been asked to be told."""

    position: int


DeliveryEvent = DeliveryRequested | AttemptBegun | AttemptEnded | DeliveryRequeued
PROGRESS = "notifier"
"""The stream of how far the log was read for ends of runs."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a delivery depend on. `tries` counts since it was last wanted, `attempts` ever."""

    id: str
    webhook_id: str
    deployment_id: str
    kind: Kind
    run_id: str | None
    created_at: datetime
    wanted_at: datetime
    status: Status = "pending"
    attempts: int = 0
    tries: int = 0
    begun: AttemptBegun | None = None


def stream(deployment_id: str, webhook_id: str, about: str) -> str:
    """The stream of what one endpoint hears of one run: there is one, however often the log is read.

    A ping is about itself: `about` is its own id.
    """
    return f"{deployment_id}:to:{webhook_id}:{about}"


def progress(_: int | None, event: NotifierAdvanced) -> int:
    """How far the log was read."""
    return event.position


def evolve(delivery: Delivery | None, event: DeliveryEvent) -> Delivery:
    """The delivery after the event."""
    if isinstance(event, DeliveryRequested):
        return Delivery(
            id=event.delivery_id,
            webhook_id=event.webhook_id,
            deployment_id=event.deployment_id,
            kind=event.kind,
            run_id=event.run_id,
            created_at=event.at,
            wanted_at=event.at,
        )
    if delivery is None:
        raise ValueError(f"{event.tag()} before delivery.requested")
    match event:
        case AttemptBegun(number=number):
            return msgspec.structs.replace(delivery, attempts=number, tries=delivery.tries + 1, begun=event)
        case AttemptEnded(succeeded=succeeded, retry_at=retry_at):
            status: Status = "succeeded" if succeeded else "failed" if retry_at is None else "pending"
            return msgspec.structs.replace(delivery, status=status, begun=None)
        case DeliveryRequeued(at=at):
            return msgspec.structs.replace(delivery, status="pending", wanted_at=at, tries=0)


def begin(delivery: Delivery, server_id: str, epoch: int, now: datetime, lasts: timedelta) -> list[DeliveryEvent]:
    """An attempt is begun where none is under way. One of a server's former life, or whose time is over, is not."""
    begun = delivery.begun
    if delivery.status != "pending":
        return []
    if begun is not None and now < begun.until and not (begun.server_id == server_id and begun.epoch < epoch):
        return []
    number = delivery.attempts + 1
    return [AttemptBegun(delivery_id=delivery.id, number=number, server_id=server_id, epoch=epoch, until=now + lasts)]


def conclude(
    delivery: Delivery,
    number: int,
    succeeded: bool,
    duration_ms: int,
    *,
    status_code: int | None = None,
    error: str | None = None,
    response: str | None = None,
    retry_at: datetime | None = None,
) -> list[DeliveryEvent]:
    """An attempt ends once. What failed is tried again within a day of being wanted; a ping is not."""
    if delivery.begun is None or delivery.begun.number != number:
        return []
    late = retry_at is None or retry_at > delivery.wanted_at + RETRIED_FOR
    if succeeded or late or delivery.kind == "ping":
        retry_at = None
    return [
        AttemptEnded(
            delivery_id=delivery.id,
            number=number,
            succeeded=succeeded,
            duration_ms=duration_ms,
            status_code=status_code,
            error=error,
            retry_at=retry_at,
            response=response,
        )
    ]


def requeue(delivery: Delivery, now: datetime) -> list[DeliveryEvent]:
    """What waits or is under way is not sent twice at once; all else can be sent again."""
    if delivery.status == "pending":
        raise Conflict(f"Delivery {delivery.id} is pending already")
    return [DeliveryRequeued(delivery_id=delivery.id, at=now)]
