"""Runs: asking for one, asking it to stop."""

from typing import Any

import msgspec

from crewship import clock, ids
from crewship.blobs import BlobStore
from crewship.commands import deployments, threads
from crewship.commands.deciding import decide
from crewship.commands.idempotency import Idempotency, remembered, remembering
from crewship.commands.values import keep
from crewship.eventlog import Author, Change, EventLog
from domain import deployment as deployment_rules
from domain import run as rules
from domain.deployment import Environment
from domain.errors import NotFound
from domain.run import Run, RunRequested


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for."""

    deployment: str
    environment: Environment
    input: dict[str, Any]
    idempotency: Idempotency | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A run that will be."""

    run_id: str
    version_id: str
    version_number: int
    status: str


async def request(log: EventLog, blobs: BlobStore, order: Order, author: Author) -> Accepted:
    """Ask for a run of the version that is live now. The same request under the same idempotency key is one run."""
    value, stored = await keep(blobs, order.input)

    async def attempt() -> Accepted:
        if (run := await remembered(log, order.idempotency)) is not None:
            return Accepted(
                run_id=run.id, version_id=run.version_id, version_number=run.version_number, status=run.status
            )
        deployment, at = await deployments.find(log, order.deployment)
        live = deployment_rules.live_version(deployment, order.environment)
        run_id = ids.new("run")
        requested = RunRequested(
            run_id=run_id,
            deployment_id=deployment.id,
            version_id=live.version_id,
            version_number=live.version_number,
            environment=order.environment,
            input=value,
            stored_input=stored,
        )
        changes = [Change(deployment.id, at), Change(run_id, 0, [requested])]
        changes += remembering(order.idempotency, run_id)
        await log.append(*changes, author=author)
        return Accepted(run_id=run_id, version_id=live.version_id, version_number=live.version_number, status="pending")

    return await decide(attempt)


async def get(log: EventLog, run_id: str) -> tuple[Run, int]:
    """A run and where its stream stands; raises NotFound."""
    run, at = await log.load(run_id, rules.evolve) if run_id.startswith("run_") else (None, 0)
    if run is None:
        raise NotFound(f"Run {run_id[:80]} not found")
    return run, at


async def error_of(log: EventLog, run_id: str) -> str | None:
    """What a failed run died of."""
    after = 0
    while events := await log.read(after, streams=(run_id,)):
        for recorded in events:
            if isinstance(recorded.event, rules.RunFailed):
                return recorded.event.error
        after = events[-1].position
    return None


async def cancel(log: EventLog, run_id: str, author: Author) -> None:
    """End a pending run; ask a running one to stop, which its supervisor will see to."""

    async def attempt() -> None:
        run, at = await get(log, run_id)
        if events := rules.cancel(run, clock.now()):
            ended = any(isinstance(event, rules.RunCanceled) for event in events)
            leaving = await threads.leaving(log, run, succeeded=False) if ended else []
            await log.append(Change(run_id, at, events), *leaving, author=author)

    await decide(attempt)
