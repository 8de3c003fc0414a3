"""Deliveries: asking for one, sending it again, and what came of each attempt."""

from datetime import datetime, timedelta

from crewship import clock, ids
from crewship.commands import deployments, runs, webhooks
from crewship.commands.deciding import decide, insist
from crewship.eventlog import Author, Change, EventLog
from domain import delivery as rules
from domain.delivery import AttemptBegun, Delivery, DeliveryRequested
from domain.errors import NotFound
from domain.webhook import Notice, Outgoing


async def find(log: EventLog, stream: str) -> tuple[Delivery, int]:
    """A delivery and where its stream stands; raises NotFound."""
    delivery, at = await log.load(stream, rules.evolve)
    if delivery is None:
        raise NotFound("Delivery not found")
    return delivery, at


async def tell(
    log: EventLog, deployment_id: str, run_id: str, notice: Notice, at: datetime, author: Author
) -> list[str]:
    """Ask for a run's end to be told to every endpoint that wants to hear of it; returns their ids.

    Asked again for the same end, it asks for what is not asked for yet.
    """

    async def attempt() -> list[str]:
        told = (await webhooks.of(log, deployment_id)).told_of(notice, at)
        changes = []
        for webhook in told:
            stream = rules.stream(deployment_id, webhook.id, run_id)
            if (await log.load(stream, rules.evolve))[0] is None:
                requested = DeliveryRequested(
                    delivery_id=ids.new("dlv"),
                    webhook_id=webhook.id,
                    deployment_id=deployment_id,
                    kind=notice,
                    at=at,
                    run_id=run_id,
                )
                changes.append(Change(stream, 0, [requested]))
        if changes:
            await log.append(*changes, author=author, patient=True)
        return [webhook.id for webhook in told]

    return await insist(attempt)


async def ping(log: EventLog, deployment: str, webhook_id: str, author: Author) -> str:
    """Ask for a delivery that is about nothing, to try an endpoint out; returns its stream."""
    found, deployment_at = await deployments.find(log, deployment)
    (await webhooks.of(log, found.id)).of_kind(webhook_id, Outgoing)
    delivery_id = ids.new("dlv")
    requested = DeliveryRequested(
        delivery_id=delivery_id, webhook_id=webhook_id, deployment_id=found.id, kind="ping", at=clock.now()
    )
    stream = rules.stream(found.id, webhook_id, delivery_id)
    await log.append(Change(found.id, deployment_at), Change(stream, 0, [requested]), author=author)
    return stream


async def requeue(log: EventLog, stream: str, author: Author) -> None:
    """Send a delivery again, under the id that it had."""

    async def attempt() -> None:
        delivery, at = await find(log, stream)
        await log.append(Change(stream, at, rules.requeue(delivery, clock.now())), author=author)

    await decide(attempt)


async def begin(
    log: EventLog, stream: str, server_id: str, epoch: int, lasts: timedelta, author: Author
) -> tuple[Delivery, int] | None:
    """Take the next attempt upon oneself; returns the delivery and the attempt's number, None if it is not ours."""

    async def attempt() -> tuple[Delivery, int] | None:
        delivery, at = await find(log, stream)
        events = rules.begin(delivery, server_id, epoch, clock.now(), lasts)
        if not events:
            return None
        await log.append(Change(stream, at, events), author=author, patient=True)
        (begun,) = events
        return (delivery, begun.number) if isinstance(begun, AttemptBegun) else None

    return await insist(attempt)


async def conclude(
    log: EventLog,
    stream: str,
    number: int,
    author: Author,
    *,
    succeeded: bool,
    duration_ms: int,
    status_code: int | None,
    error: str | None,
    response: str | None,
    retry_at: datetime | None,
) -> None:
    """Record what came of an attempt, and when the next is due. Of an erased run no answer is kept."""

    async def attempt() -> None:
        delivery, at = await find(log, stream)
        held, heard = await _holding(log, delivery, response)
        events = rules.conclude(
            delivery,
            number,
            succeeded,
            duration_ms,
            status_code=status_code,
            error=error,
            response=heard,
            retry_at=retry_at,
        )
        if events:
            await log.append(*held, Change(stream, at, events), author=author, patient=True)

    await insist(attempt)


async def _holding(log: EventLog, delivery: Delivery, response: str | None) -> tuple[list[Change], str | None]:
    """What may be kept of an answer about a run, and what holds the run where it is meanwhile.

    An answer is sealed under the run's data key, which must not come back once the run was erased.
    """
    if response is None or delivery.run_id is None:
        return [], response
    run, at = await runs.get(log, delivery.run_id)
    return ([], None) if run.erased else ([Change(run.id, at)], response)
