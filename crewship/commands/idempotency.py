"""The same request under the same Idempotency-Key is one run or one thing, however often and from wherever it comes."""

import hashlib
from typing import NamedTuple

from crewship.eventlog import Change, EventLog
from domain import name as names
from domain import run as run_rules
from domain.errors import Conflict, NotFound
from domain.name import RequestFulfilled, RequestRemembered
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
    earlier = await _earlier(log, key)
    if not isinstance(earlier, RequestRemembered):
        return None
    run, _ = await log.load(earlier.run_id, run_rules.evolve)
    if run is None:
        raise NotFound(f"Run {earlier.run_id} not found")
    return run


async def made(log: EventLog, key: Idempotency | None) -> str | None:
    """The id of the thing that the key stands for already; raises Conflict if it stood for another request."""
    earlier = await _earlier(log, key)
    return earlier.thing_id if isinstance(earlier, RequestFulfilled) else None


async def _earlier(log: EventLog, key: Idempotency | None) -> RequestRemembered | RequestFulfilled | None:
    if key is None:
        return None
    earlier, _ = await log.load(key.stream, names.remembered)
    if earlier is not None and earlier.fingerprint != key.fingerprint:
        which = {"run_id": earlier.run_id} if isinstance(earlier, RequestRemembered) else {"id": earlier.thing_id}
        raise Conflict("This Idempotency-Key was used for another request", **which)
    return earlier


def remembering(key: Idempotency | None, run_id: str) -> list[Change]:
    """What makes the key stand for a run, for the append that creates it: who comes second loses the race."""
    if key is None:
        return []
    return [Change(key.stream, 0, [RequestRemembered(fingerprint=key.fingerprint, run_id=run_id)])]


def making(key: Idempotency | None, thing_id: str) -> list[Change]:
    """The same for a thing that is no run."""
    if key is None:
        return []
    return [Change(key.stream, 0, [RequestFulfilled(fingerprint=key.fingerprint, thing_id=thing_id)])]
