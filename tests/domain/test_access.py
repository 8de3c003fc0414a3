from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest

from domain import access as rules
from domain.access import Key, KeyCreated, KeyEvent, KeyRevoked, KeyUsed, Scope
from domain.errors import BadRequest, Unauthorized

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CREATED = KeyCreated(key_id="key_1", name="ci", scopes=["deploy"], secret_sha256="ab")


def given(*events: KeyEvent) -> Key:
    key = reduce(rules.evolve, events, None)
    assert key is not None
    return key


def create(**changes: Any) -> list[KeyEvent]:
    known: dict[str, Any] = {"name": "ci", "scopes": ["read"], "secret_sha256": "ab", "expires_at": None, "now": NOW}
    return rules.create("key_1", **{**known, **changes})


def test_a_scope_brings_what_it_implies():
    assert given(CREATED).scopes == {"deploy", "run", "read"}


def test_nothing_happens_to_a_key_that_was_not_created():
    with pytest.raises(ValueError, match=r"before key\.created"):
        rules.evolve(None, KeyUsed(key_id="key_1"))


def test_scopes_are_kept_in_order_and_once():
    (event,) = create(scopes=["read", "admin", "read"])
    assert isinstance(event, KeyCreated)
    assert event.scopes == ["admin", "read"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": " "}, "name is required"),
        ({"name": "x" * 101}, "at most 100"),
        ({"scopes": list[Scope]()}, "at least one"),
        ({"expires_at": NOW}, "past"),
        ({"expires_at": datetime(2030, 1, 1)}, "time zone"),
    ],
)
def test_a_key_must_make_sense(changes: dict[str, Any], message: str):
    with pytest.raises(BadRequest, match=message):
        create(**changes)


def test_a_revoked_key_opens_nothing_and_is_revoked_once():
    key = given(CREATED, KeyRevoked(key_id="key_1"))
    with pytest.raises(Unauthorized, match="revoked"):
        rules.check(key, NOW)
    assert rules.revoke(key) == []
    assert rules.revoke(given(CREATED)) == [KeyRevoked(key_id="key_1")]


def test_an_expired_key_opens_nothing():
    (event,) = create(expires_at=NOW + timedelta(hours=1))
    key = given(event)
    rules.check(key, NOW)
    with pytest.raises(Unauthorized, match="expired"):
        rules.check(key, NOW + timedelta(hours=1))
