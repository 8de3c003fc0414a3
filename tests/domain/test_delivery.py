from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest

from domain import delivery as rules
from domain.delivery import AttemptBegun, AttemptEnded, Delivery, DeliveryEvent, DeliveryRequested, DeliveryRequeued
from domain.errors import Conflict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = NOW + timedelta(seconds=30)
WANTED = DeliveryRequested(
    delivery_id="dlv_1", webhook_id="whk_1", deployment_id="dep_1", kind="run.failed", at=NOW, run_id="run_1"
)
PING = DeliveryRequested(delivery_id="dlv_1", webhook_id="whk_1", deployment_id="dep_1", kind="ping", at=NOW)
BEGUN = AttemptBegun(delivery_id="dlv_1", number=1, server_id="srv_1", epoch=2, until=SOON)


def ended(**fields: Any) -> AttemptEnded:
    known = {"delivery_id": "dlv_1", "number": 1, "succeeded": False, "duration_ms": 5}
    return AttemptEnded(**{**known, **fields})


def given(*events: DeliveryEvent) -> Delivery:
    delivery = reduce(rules.evolve, events, None)
    assert delivery is not None
    return delivery


def begin(delivery: Delivery, server_id: str = "srv_1", epoch: int = 2, now: datetime = NOW) -> list[DeliveryEvent]:
    return rules.begin(delivery, server_id, epoch, now, timedelta(seconds=30))


def test_what_is_wanted_is_attempted():
    assert begin(given(WANTED)) == [BEGUN]


def test_an_attempt_under_way_is_not_begun_by_another():
    assert begin(given(WANTED, BEGUN)) == []
    assert begin(given(WANTED, BEGUN), server_id="srv_2") == []


def test_an_attempt_that_a_crash_cut_off_is_followed_by_another():
    (again,) = begin(given(WANTED, BEGUN), epoch=3)
    assert isinstance(again, AttemptBegun)
    assert again.number == 2
    assert begin(given(WANTED, BEGUN), server_id="srv_2", now=SOON) != []


def test_what_failed_waits_for_its_next_time_and_counts():
    waiting = given(WANTED, BEGUN, ended(retry_at=SOON))
    assert (waiting.status, waiting.tries, waiting.begun) == ("pending", 1, None)


def test_an_attempt_that_is_not_the_present_one_says_nothing():
    assert rules.conclude(given(WANTED, BEGUN), 2, True, 5) == []
    assert rules.conclude(given(WANTED, BEGUN, ended()), 1, True, 5) == []


def test_success_ends_it_for_good():
    (end,) = rules.conclude(given(WANTED, BEGUN), 1, True, 5, status_code=200, retry_at=SOON)
    assert end == ended(succeeded=True, status_code=200)
    assert given(WANTED, BEGUN, end).status == "succeeded"


def test_it_is_given_up_after_a_day():
    late = NOW + timedelta(days=1, seconds=1)
    (end,) = rules.conclude(given(WANTED, BEGUN), 1, False, 5, error="x", retry_at=late)
    assert given(WANTED, BEGUN, end).status == "failed"


def test_a_ping_is_tried_once():
    (end,) = rules.conclude(given(PING, BEGUN), 1, False, 5, error="x", retry_at=SOON)
    assert given(PING, BEGUN, end).status == "failed"


def test_what_is_over_can_be_wanted_again_for_another_day():
    over = given(WANTED, BEGUN, ended())
    assert rules.requeue(over, SOON) == [DeliveryRequeued(delivery_id="dlv_1", at=SOON)]
    again = given(WANTED, BEGUN, ended(), DeliveryRequeued(delivery_id="dlv_1", at=SOON))
    assert (again.status, again.tries, again.attempts, again.wanted_at) == ("pending", 0, 1, SOON)


def test_what_waits_is_not_wanted_twice():
    with pytest.raises(Conflict, match="pending already"):
        rules.requeue(given(WANTED), SOON)
