"""Runs: asking for one, asking it to stop."""

import hashlib
from typing import Any

import msgspec

from crewship import clock, ids
from crewship.blobs import BlobStore
from crewship.commands import deployments
from crewship.commands.deciding import decide
from crewship.commands.values import keep
from crewship.eventlog import Author, Change, EventLog
from domain import deployment as deployment_rules
from domain import name as names
from domain import run as rules
from domain.deployment import Environment
from domain.errors import Conflict, NotFound
from domain.name import RequestRemembered
from domain.run import Run, RunRequested


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for."""

    deployment: str
    environment: Environment
    input: dict[str, Any]
    idempotency: tuple[str, str] | None = None
    """The key's stream, and the fingerprint of the request."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A run that will be."""

    run_id: str
    version_id: str
    version_number: int
    status: str


def idempotency(key_id: str, given: str, request: bytes) -> tuple[str, str]:
    """The stream that holds an idempotency key of one API key, and the fingerprint of a request."""
    stream = hashlib.sha256(f"{key_id}\0{given}".encode()).hexdigest()
    return f"idem:{stream}", hashlib.sha256(request).hexdigest()


async def request(log: EventLog, blobs: BlobStore, order: Order, author: Author) -> Accepted:
    """Ask for a run of the version that is live now. The same request under the same idempotency key is one run."""
    value, stored = await keep(blobs, order.input)

    async def attempt() -> Accepted:
        if (earlier := await _remembered(log, order)) is not None:
            return earlier
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
        if order.idempotency:
            stream, fingerprint = order.idempotency
            changes.append(Change(stream, 0, [RequestRemembered(fingerprint=fingerprint, run_id=run_id)]))
        await log.append(*changes, author=author)
        return Accepted(run_id=run_id, version_id=live.version_id, version_number=live.version_number, status="pending")

    return await decide(attempt)


async def _remembered(log: EventLog, order: Order) -> Accepted | None:
    if order.idempotency is None:
        return None
    stream, fingerprint = order.idempotency
    earlier, _ = await log.load(stream, names.remembered)
    if earlier is None:
        return None
    if earlier.fingerprint != fingerprint:
        raise Conflict("This Idempotency-Key was used for another request", run_id=earlier.run_id)
    run, _ = await get(log, earlier.run_id)
    return Accepted(run_id=run.id, version_id=run.version_id, version_number=run.version_number, status=run.status)


async def get(log: EventLog, run_id: str) -> tuple[Run, int]:
    """A run and where its stream stands; raises NotFound."""
    run, at = await log.load(run_id, rules.evolve) if run_id.startswith("run_") else (None, 0)
    if run is None:
        raise NotFound(f"Run {run_id} not found")
    return run, at


async def cancel(log: EventLog, run_id: str, author: Author) -> None:
    """End a pending run; ask a running one to stop, which its supervisor will see to."""

    async def attempt() -> None:
        run, at = await get(log, run_id)
        if events := rules.cancel(run, clock.now()):
            await log.append(Change(run_id, at, events), author=author)

    await decide(attempt)
