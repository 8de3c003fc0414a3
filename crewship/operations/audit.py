"""The audit without a server: on a data folder (also one that a server uses, or a copy) or a database."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from crewship.config import Settings
from crewship.eventlog import Query, Verified, browse, stored_log, verify
from domain.errors import BadRequest
from projections.audit import entry

ENTRIES_AT_ONCE = 1_000


def pieces(settings: Settings, pinned: str | None = None) -> Iterator[Verified]:
    """The whole log held against its seals, piece by piece."""
    with stored_log(settings.data, settings.postgres) as recorder:
        after: int | None = 0
        while after is not None:
            piece = verify(recorder, after, pinned=pinned)
            yield piece
            after = piece.next_after


def entries(settings: Settings, filters: dict[str, str | None]) -> Iterator[dict[str, Any]]:
    """Every event that fits, as the audit shows it, in memory one page at a time. Filters as the API takes them."""
    types = tuple(filter(None, (filters["types"] or "").split(",")))
    moments = {name: moment(name, filters[name]) for name in ("since", "until")}
    query = Query(types=types, stream=filters["stream"], by=filters["by"], **moments)
    with stored_log(settings.data, settings.postgres) as recorder:
        after = -1
        found = browse(recorder, 0, ENTRIES_AT_ONCE, query)
        while found.looked_up_to > after:
            yield from map(entry, found.events)
            after = found.looked_up_to
            found = browse(recorder, after, ENTRIES_AT_ONCE, query)


def moment(name: str, given: str | None) -> datetime | None:
    """A time with its zone; raises BadRequest."""
    if given is None:
        return None
    try:
        at = msgspec.convert(given, datetime)
    except msgspec.ValidationError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadRequest(f"{name}: expected a time with its zone, like 2026-01-31T12:00:00Z")
    return at
