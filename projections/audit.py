"""The log as an auditor reads it: Recorded → who did what, when, from where. Never what is sealed."""

import re
from functools import cache
from typing import Any

import msgspec

from domain.event import Event, Recorded, sealed_fields
from projections.feed import event_id
from projections.projection import text

_HIDDEN = re.compile(r"(secret|token|key)(_sha256|_hash)?")


def entry(recorded: Recorded) -> dict[str, Any]:
    """An event as the audit shows it. `sealed` names the fields that are kept back."""
    kept_back = hidden(type(recorded.event))
    data = {name: getattr(recorded.event, name) for name in recorded.event.__struct_fields__ if name not in kept_back}
    shown: dict[str, Any] = msgspec.to_builtins(
        {
            "id": event_id(recorded.position),
            "type": recorded.event.tag(),
            "stream": recorded.stream,
            "version": recorded.version,
            "timestamp": text(recorded.at),
            "actor": recorded.by,
            "address": recorded.address,
            "request_id": recorded.request_id,
            "cause": recorded.cause,
            "data": data,
            "sealed": sorted(kept_back),
        }
    )
    return shown


@cache
def hidden(kind: type[Event]) -> frozenset[str]:
    """The fields of an event that an audit does not show: what is sealed, and the hashes of secrets."""
    return frozenset(sealed_fields(kind)) | {name for name in kind.__struct_fields__ if _HIDDEN.fullmatch(name)}
