"""What an auditor sees: who, what, when, from where; never a secret, whatever event comes to be."""

from datetime import UTC, datetime

import msgspec
import pytest

from domain.catalog import BY_TAG
from domain.event import Recorded, sealed_fields
from domain.variables import VariablesSet
from projections.audit import entry, hidden

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def test_an_entry_says_who_did_what_when_and_from_where():
    event = VariablesSet(deployment_id="dep_1", names=["A"], values={"A": "secret"})
    recorded = Recorded(
        position=7, stream="dep_1:env", version=1, at=AT, by="key:key_1", event=event, request_id="r", address="::1"
    )
    shown = entry(recorded)
    assert shown == {
        "id": "evt_007",
        "type": "variables.set",
        "stream": "dep_1:env",
        "version": 1,
        "timestamp": "2026-01-02T03:04:05.678Z",
        "actor": "key:key_1",
        "address": "::1",
        "request_id": "r",
        "cause": None,
        "data": {"deployment_id": "dep_1", "names": ["A"]},
        "sealed": ["values"],
    }
    assert b"secret" not in msgspec.json.encode(shown)


@pytest.mark.parametrize("tag", sorted(BY_TAG))
def test_no_secret_of_any_event_is_shown(tag: str):
    kind = BY_TAG[tag]
    kept_back = hidden(kind)
    assert set(sealed_fields(kind)) <= kept_back
    assert not [name for name in kind.__struct_fields__ if "secret" in name and name not in kept_back]
