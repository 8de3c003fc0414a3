"""Schedules: making and changing them, and what happens when one of their times has come."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from crewship import clock, ids
from crewship.blobs import BlobStore
from crewship.commands import deployments
from crewship.commands.deciding import decide, insist
from crewship.commands.idempotency import Idempotency, made, making
from crewship.commands.values import keep
from crewship.cron import cron
from crewship.eventlog import Author, Change, EventLog
from domain import deployment as deployment_rules
from domain import schedule as rules
from domain.deployment import Environment
from domain.errors import BadRequest, Conflict
from domain.run import RunRequested
from domain.schedule import Overlap, Schedule, ScheduleChanged, ScheduleCreated, ScheduleEvent, Schedules, Ticked

Decision = Callable[[Schedules | None, str], list[ScheduleEvent]]


async def of(log: EventLog, deployment_id: str) -> Schedules:
    """A deployment's schedules."""
    schedules, _ = await log.load(rules.stream(deployment_id), rules.evolve)
    return schedules or Schedules()


async def create(
    log: EventLog,
    blobs: BlobStore,
    deployment: str,
    author: Author,
    *,
    name: str | None,
    expression: str,
    timezone: str,
    environment: Environment,
    given: dict[str, Any],
    overlap: Overlap,
    catch_up: int,
    idempotency: Idempotency | None = None,
) -> str:
    """Let runs begin by the clock from now on; returns the schedule's id.

    The same request under the same key makes one.
    """
    cron(expression, timezone)
    value, stored = await keep(blobs, given)
    schedule_id = ids.new("sch")

    def begun(schedules: Schedules | None, deployment_id: str) -> list[ScheduleEvent]:
        created = ScheduleCreated(
            schedule_id=schedule_id,
            deployment_id=deployment_id,
            name=name,
            cron=expression,
            timezone=timezone,
            environment=environment,
            overlap=overlap,
            catch_up=catch_up,
            since=clock.now(),
            input=value,
            stored_input=stored,
        )
        return rules.create(schedules, created)

    earlier = await _decide(log, deployment, begun, author, idempotency, schedule_id)
    return earlier or schedule_id


async def change(
    log: EventLog, blobs: BlobStore, deployment: str, schedule_id: str, author: Author, **given: Any
) -> None:
    """Give a schedule other fields, of those that a ScheduleChanged has; what is None stays."""
    value, stored = (None, None) if given.get("input") is None else await keep(blobs, given["input"])
    given = {**given, "input": value, "stored_input": stored}

    def changed(schedules: Schedules | None, _: str) -> list[ScheduleEvent]:
        before = (schedules or Schedules()).find(schedule_id)
        cron(given.get("cron") or before.cron, given.get("timezone") or before.timezone)
        return rules.change(schedules, ScheduleChanged(schedule_id=schedule_id, since=clock.now(), **given))

    await _decide(log, deployment, changed, author)


async def pause(log: EventLog, deployment: str, schedule_id: str, author: Author) -> None:
    """Let no run begin until it is resumed."""
    await _decide(log, deployment, lambda schedules, _: rules.pause(schedules, schedule_id), author)


async def resume(log: EventLog, deployment: str, schedule_id: str, author: Author) -> None:
    """Let runs begin again, from the next time on."""
    await _decide(log, deployment, lambda schedules, _: rules.resume(schedules, schedule_id, clock.now()), author)


async def delete(log: EventLog, deployment: str, schedule_id: str, author: Author) -> None:
    """Let no run begin any more."""
    await _decide(log, deployment, lambda schedules, _: rules.delete(schedules, schedule_id), author)


async def tick(
    log: EventLog, schedule: Schedule, at: datetime, busy: Callable[[], Awaitable[bool]], author: Author
) -> None:
    """A time has come: a run, or on record why there is none; in one append, and never twice for one time.

    `busy` tells whether a run of the schedule has not ended yet; it is asked only where that matters.
    """
    stream = rules.tick_stream(schedule.id, at)

    async def attempt() -> None:
        if (await log.load(stream, rules.ticked))[0] is not None:
            return
        schedules, schedules_at = await log.load(rules.stream(schedule.deployment_id), rules.evolve)
        if (schedules or Schedules()).by_id.get(schedule.id) != schedule:
            return  # changed, paused or gone meanwhile: its new times are somebody else's business
        deployment, deployment_at = await deployments.find(log, schedule.deployment_id)
        held = (Change(rules.stream(deployment.id), schedules_at), Change(deployment.id, deployment_at))
        try:
            live = deployment_rules.live_version(deployment, schedule.environment)
        except (BadRequest, Conflict) as refusal:
            skipped = _ticked(schedule, at, reason=refusal.message)
            await log.append(*held, Change(stream, 0, [skipped]), author=author, patient=True)
            return
        if schedule.overlap == "skip" and await busy():
            skipped = _ticked(schedule, at, reason="The run before has not ended yet")
            await log.append(*held, Change(stream, 0, [skipped]), author=author, patient=True)
            return
        run_id = ids.new("run")
        requested = RunRequested(
            run_id=run_id,
            deployment_id=deployment.id,
            version_id=live.version_id,
            version_number=live.version_number,
            environment=schedule.environment,
            schedule_id=schedule.id,
            in_turn=schedule.overlap == "queue",
            input=schedule.input,
            stored_input=schedule.stored_input,
        )
        started = Ticked(schedule_id=schedule.id, deployment_id=deployment.id, at=at, outcome="started", run_id=run_id)
        await log.append(
            *held, Change(stream, 0, [started]), Change(run_id, 0, [requested]), author=author, patient=True
        )

    await insist(attempt)


async def miss(log: EventLog, schedule: Schedule, first: datetime, last: datetime, count: int, author: Author) -> None:
    """Times have gone by that are not made up for; they are on record as one, under the last of them."""
    stream = rules.tick_stream(schedule.id, last)

    async def attempt() -> None:
        if (await log.load(stream, rules.ticked))[0] is None:
            missed = Ticked(
                schedule_id=schedule.id,
                deployment_id=schedule.deployment_id,
                at=last,
                outcome="missed",
                reason="No server was running then",
                first=first,
                count=count,
            )
            await log.append(Change(stream, 0, [missed]), author=author, patient=True)

    await insist(attempt)


def _ticked(schedule: Schedule, at: datetime, reason: str) -> Ticked:
    return Ticked(
        schedule_id=schedule.id, deployment_id=schedule.deployment_id, at=at, outcome="skipped", reason=reason
    )


async def _decide(
    log: EventLog,
    reference: str,
    decision: Decision,
    author: Author,
    idempotency: Idempotency | None = None,
    schedule_id: str = "",
) -> str | None:
    """Append what is decided; returns the id of the schedule that the key stands for already, and then does nothing."""

    async def attempt() -> str | None:
        if (earlier := await made(log, idempotency)) is not None:
            return earlier
        deployment, deployment_at = await deployments.find(log, reference)
        stream = rules.stream(deployment.id)
        schedules, at = await log.load(stream, rules.evolve)
        if events := decision(schedules, deployment.id):
            changes = (
                Change(deployment.id, deployment_at),
                Change(stream, at, events),
                *making(idempotency, schedule_id),
            )
            await log.append(*changes, author=author)
        return None

    return await decide(attempt)
