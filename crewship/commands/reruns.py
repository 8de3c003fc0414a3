"""Runs once more: what was asked of a run, asked again."""

from typing import Any

import msgspec

from crewship import ids
from crewship.blobs import BlobStore
from crewship.commands import deployments, runs, threads
from crewship.commands.deciding import decide
from crewship.commands.idempotency import Idempotency, remembered, remembering
from crewship.commands.values import keep
from crewship.eventlog import Author, Change, EventLog
from domain import deployment as deployment_rules
from domain import run as rules
from domain import thread as thread_rules
from domain.deployment import ENVIRONMENTS, Deployment
from domain.errors import Conflict, NotFound
from domain.run import Repeated, Run, RunRequested


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Which run to repeat, by which version, and with which input (None: the one that it had)."""

    run_id: str
    version: Repeated = "same"
    input: dict[str, Any] | None = None
    idempotency: Idempotency | None = None


class Rerun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that will be, and the one that it repeats."""

    run_id: str
    rerun_of: str
    thread_id: str | None
    version_id: str
    version_number: int
    status: str


async def rerun(log: EventLog, blobs: BlobStore, again: Again, author: Author) -> Rerun:
    """Ask for a run like another one: same deployment, environment and thread, in the thread's present state."""
    first = await _asked(log, again.run_id, has_input=again.input is not None)
    if again.input is None:
        value, stored = first.input, first.stored_input
    else:
        value, stored = await keep(blobs, again.input)

    async def attempt() -> Rerun:
        if (earlier := await remembered(log, again.idempotency)) is not None:
            return _accepted(earlier.id, earlier, again.run_id, earlier.status)
        deployment, at = await deployments.find(log, first.deployment_id)
        version_id, number = _version(deployment, first, again.version)
        requested = RunRequested(
            run_id=ids.new("run"),
            deployment_id=deployment.id,
            version_id=version_id,
            version_number=number,
            environment=first.environment,
            thread_id=first.thread_id,
            resume=None if again.input is not None else first.resume,
            input=value,
            stored_input=stored,
            rerun_of=first.run_id,
        )
        await log.append(
            Change(deployment.id, at),
            *await _turn(log, requested),
            Change(requested.run_id, 0, [requested]),
            *remembering(again.idempotency, requested.run_id),
            author=author,
        )
        return _accepted(requested.run_id, requested, again.run_id, "pending")

    return await decide(attempt)


async def _asked(log: EventLog, run_id: str, *, has_input: bool) -> RunRequested:
    """What was asked of the run in the first place."""
    events = await log.read(0, streams=(run_id,), limit=1) if run_id.startswith("run_") else []
    asked = events[0].event if events else None
    if not isinstance(asked, RunRequested):
        raise NotFound(f"Run {run_id[:80]} not found")
    rules.repeatable(asked)
    run, _ = await runs.get(log, run_id)
    if run.erased and not has_input:
        raise Conflict(f"input is required: what run {run_id} was given has been erased")
    return asked


def _version(deployment: Deployment, first: RunRequested, wanted: Repeated) -> tuple[str, int]:
    deployment_rules.takes_runs(deployment)
    if wanted == "same":
        return first.version_id, first.version_number
    environment = next(known for known in ENVIRONMENTS if known == first.environment)
    live = deployment_rules.live_version(deployment, environment)
    return live.version_id, live.version_number


async def _turn(log: EventLog, requested: RunRequested) -> list[Change]:
    """The run's turn in its thread, for the append that creates it; nothing for a run without one."""
    if requested.thread_id is None:
        return []
    thread, at = await threads.find(log, requested.thread_id)
    thread_rules.answer(thread, has_input=False, has_resume=requested.resume is not None)
    return [Change(thread.id, at, thread_rules.begin(thread, requested.run_id, "reject"))]


def _accepted(run_id: str, run: Run | RunRequested, rerun_of: str, status: str) -> Rerun:
    return Rerun(
        run_id=run_id,
        rerun_of=rerun_of,
        thread_id=run.thread_id,
        version_id=run.version_id,
        version_number=run.version_number,
        status=status,
    )
