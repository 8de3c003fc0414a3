from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest

from domain import webhook as rules
from domain.errors import BadRequest, Conflict, NotFound
from domain.webhook import (
    IncomingCreated,
    Outgoing,
    OutgoingCreated,
    SecretRotated,
    TokenRotated,
    WebhookChanged,
    WebhookDeleted,
    WebhookEvent,
    WebhookPaused,
    WebhookResumed,
    Webhooks,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INCOMING = IncomingCreated(
    webhook_id="whk_1", deployment_id="dep_1", name="in", environment="production", token_sha256="aa"
)
OUTGOING = OutgoingCreated(
    webhook_id="whk_2",
    deployment_id="dep_1",
    name="out",
    events=["run.failed"],
    since=NOW,
    url="https://example.com",
    secret="whsec_b25l",
)


def given(*events: WebhookEvent) -> Webhooks:
    webhooks = reduce(rules.evolve, events, None)
    assert webhooks is not None
    return webhooks


def outgoing(*events: WebhookEvent) -> Outgoing:
    return given(OUTGOING, *events).of_kind("whk_2", Outgoing)


def create(webhooks: Webhooks | None = None, **changes: Any) -> list[WebhookEvent]:
    known = {"name": "new", "url": "https://example.com", "events": ["run.failed"], "secret": "s", "now": NOW}
    return rules.create_outgoing(webhooks, "dep_1", "whk_9", **{**known, **changes})


def test_an_endpoint_hears_of_what_it_asked_for_from_its_making_on():
    webhooks = given(OUTGOING)
    assert [one.id for one in webhooks.told_of("run.failed", NOW)] == ["whk_2"]
    assert webhooks.told_of("run.succeeded", NOW) == []
    assert webhooks.told_of("run.failed", NOW - timedelta(seconds=1)) == []


def test_a_token_is_told_nothing():
    assert given(INCOMING).told_of("run.failed", NOW) == []


def test_what_is_changed_is_changed_and_the_rest_stays():
    changed = outgoing(WebhookChanged(webhook_id="whk_2", url="https://example.org"))
    assert (changed.url, changed.name, changed.events) == ("https://example.org", "out", ["run.failed"])


def test_what_does_not_belong_to_a_kind_cannot_be_changed():
    webhooks = given(INCOMING, OUTGOING)
    with pytest.raises(BadRequest, match="url: an incoming webhook has none"):
        rules.change(webhooks, "whk_1", url="https://example.org")
    with pytest.raises(BadRequest, match="environment: an outgoing webhook has none"):
        rules.change(webhooks, "whk_2", environment="staging")


def test_a_name_is_born_by_one_webhook():
    webhooks = given(INCOMING, OUTGOING)
    with pytest.raises(Conflict, match="A webhook named in exists already"):
        create(webhooks, name=" in ")
    with pytest.raises(Conflict, match="A webhook named in exists already"):
        rules.change(webhooks, "whk_2", name="in")
    assert rules.change(webhooks, "whk_2", name="out") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"name": ""}, "name is required"), ({"name": "x" * 101}, "name: at most 100"), ({"events": []}, "events: give")],
)
def test_what_lacks_something_is_not_made(changes: Any, message: str):
    with pytest.raises(BadRequest, match=message):
        create(**changes)


def test_a_deployment_has_at_most_fifty_webhooks():
    many: list[WebhookEvent] = [
        IncomingCreated(
            webhook_id=f"whk_{n}", deployment_id="dep_1", name=str(n), environment="staging", token_sha256=""
        )
        for n in range(50)
    ]
    with pytest.raises(BadRequest, match="at most 50"):
        create(given(*many))


def test_an_old_secret_signs_beside_the_new_one_until_its_time_is_over():
    later = NOW + timedelta(hours=24)
    rotated = outgoing(SecretRotated(webhook_id="whk_2", secret="new", old_lasts_until=later))
    assert rotated.secrets(NOW) == ["new", "whsec_b25l"]
    assert rotated.secrets(later) == ["new"]


def test_a_secret_that_was_erased_signs_nothing():
    assert outgoing(SecretRotated(webhook_id="whk_2", old_lasts_until=NOW)).secrets(NOW) == []


def test_rotating_fits_the_kind():
    webhooks = given(INCOMING, OUTGOING)
    assert rules.rotate_token(webhooks, "whk_1", "bb") == [TokenRotated(webhook_id="whk_1", token_sha256="bb")]
    with pytest.raises(BadRequest, match="is not incoming"):
        rules.rotate_token(webhooks, "whk_2", "bb")


def test_pausing_and_resuming_twice_change_nothing():
    paused = given(OUTGOING, WebhookPaused(webhook_id="whk_2", reason="x"))
    assert rules.pause(paused, "whk_2", "y") == []
    assert rules.resume(paused, "whk_2") == [WebhookResumed(webhook_id="whk_2")]
    assert rules.resume(given(OUTGOING), "whk_2") == []


def test_what_was_deleted_is_not_found():
    webhooks = given(OUTGOING, WebhookDeleted(webhook_id="whk_2"))
    with pytest.raises(NotFound, match="Webhook whk_2 not found"):
        rules.delete(webhooks, "whk_2")
    assert rules.pause(webhooks, "whk_2", "x") == []
