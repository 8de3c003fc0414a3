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


class TableNameClaimed(Event, tag="name.claimed_for_table", frozen=True, kw_only=True):
    """A table bears the name."""

    name: str
    table_id: str


class RequestRemembered(Event, tag="request.remembered", frozen=True, kw_only=True):
    """A request under an idempotency key was answered with this run; `fingerprint` tells the request from another."""

    fingerprint: str
    run_id: str


class RequestFulfilled(Event, tag="request.fulfilled", frozen=True, kw_only=True):
    """A request under an idempotency key made that thing, which is no run."""

    fingerprint: str
    thing_id: str


class RowsRemembered(Event, tag="request.rows_remembered", frozen=True, kw_only=True):
    """A request under an idempotency key was answered with these rows; `fingerprint` tells the request from another."""

    fingerprint: str
    table_id: str
    row_ids: list[str]


NameEvent = NameClaimed | TableNameClaimed | NameReleased


class Name(msgspec.Struct, frozen=True):
    """Who bears a name, a deployment or a table; None when it is free."""

    deployment_id: str | None
    table_id: str | None = None


def evolve(name: Name | None, event: NameEvent) -> Name:
    """The name after the event."""
    match event:
        case NameClaimed(deployment_id=deployment_id):
            return Name(deployment_id)
        case TableNameClaimed(table_id=table_id):
            return Name(None, table_id)
        case NameReleased():
            return Name(None)


def stream(name: str) -> str:
    """The stream that holds a deployment's name."""
    return f"name:{name}"


def table_stream(name: str) -> str:
    """The stream that holds a table's name; no deployment's name has a slash."""
    return f"name:table/{name}"


def remembered(
    _: RequestRemembered | RequestFulfilled | None, event: RequestRemembered | RequestFulfilled
) -> RequestRemembered | RequestFulfilled:
    """What an idempotency key stands for."""
    return event


def rows_remembered(_: RowsRemembered | None, event: RowsRemembered) -> RowsRemembered:
    """What an idempotency key stands for where rows were asked for."""
    return event
