"""What requests under an idempotency key make, for the golden log."""

from crewship.eventlog import Change
from domain import name


def repeats() -> list[Change]:
    """A request that made something which is no run."""
    return [Change("idem:aa", 0, [name.RequestFulfilled(fingerprint="aa" * 32, thing_id="thr_1")])]
