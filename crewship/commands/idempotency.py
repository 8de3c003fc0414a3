"""The same request under the same Idempotency-Key is one run, however often and from wherever it comes."""

import hashlib
from typing import NamedTuple

from crewship.eventlog import Change, EventLog
from domain import name as names
from domain import run as run_rules
from domain.errors import Conflict, NotFound
from domain.name import RequestRemembered
from domain.run import Run


class Idempotency(NamedTuple):
    """The stream that holds an idempotency key of one API key, and what tells the request from another."""

    stream: str
    fingerprint: str


def idempotency(actor: str, given: str, request: bytes) -> Idempotency:
    """What a key that an actor gave stands for."""
    stream = hashlib.sha256(f"{actor}\0{given}".encode()).hexdigest()
    return Idempotency(f"idem:{stream}", hashlib.sha256(request).hexdigest())


async def remembered(log: EventLog, key: Idempotency | None) -> Run | None:
    """The run that the key stands for already; raises Conflict if it stood for another request."""
    if key is None:
        return None
    earlier, _ = await log.load(key.stream, names.remembered)
    if earlier is None:
        return None
    if earlier.fingerprint != key.fingerprint:
        raise Conflict("This Idempotency-Key was used for another request", run_id=earlier.run_id)
    run, _ = await log.load(earlier.run_id, run_rules.evolve)
    if run is None:
        raise NotFound(f"Run {earlier.run_id} not found")
    return run


def remembering(key: Idempotency | None, run_id: str) -> list[Change]:
    """What makes the key stand for a run, for the append that creates it: who comes second loses the race."""
    if key is None:
        return []
    return [Change(key.stream, 0, [RequestRemembered(fingerprint=key.fingerprint, run_id=run_id)])]
