"""What must be unique is a stream of its own: whoever writes its first event holds it, until a last one releases it."""

import msgspec

from domain.event import Event


class NameClaimed(Event, tag="name.claimed", frozen=True, kw_only=True):
    """A deployment bears the name."""

    name: str
    deployment_id: str


class NameReleased(Event, tag="name.released", frozen=True, kw_only=True):
    """The name is free."""

    name: str


class RequestRemembered(Event, tag="request.remembered", frozen=True, kw_only=True):
    """A request under an idempotency key was answered with this run; `fingerprint` tells the request from another."""

    fingerprint: str
    run_id: str


class RequestFulfilled(Event, tag="request.fulfilled", frozen=True, kw_only=True):
    """A request under an idempotency key made that thing, which is no run."""

    fingerprint: str
    thing_id: str


NameEvent = NameClaimed | NameReleased


class Name(msgspec.Struct, frozen=True):
    """Who bears a name; None when it is free."""

    deployment_id: str | None


def evolve(name: Name | None, event: NameEvent) -> Name:
    """The name after the event."""
    return Name(event.deployment_id if isinstance(event, NameClaimed) else None)


def stream(name: str) -> str:
    """The stream that holds a deployment's name."""
    return f"name:{name}"


def remembered(
    _: RequestRemembered | RequestFulfilled | None, event: RequestRemembered | RequestFulfilled
) -> RequestRemembered | RequestFulfilled:
    """What an idempotency key stands for."""
    return event
