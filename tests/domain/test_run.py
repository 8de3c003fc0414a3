from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain import run as rules
from domain.errors import BadRequest
from domain.run import (
    CancelRequested,
    Run,
    RunCanceled,
    RunClaimed,
    RunEvent,
    RunFailed,
    RunRequested,
    RunRetried,
    RunStarted,
    RunSucceeded,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
REQUESTED = RunRequested(
    run_id="run_9", deployment_id="dep_1", version_id="ver_1", version_number=1, environment="production"
)
CLAIMED = RunClaimed(run_id="run_9", server_id="srv_1", epoch=1)
STARTED = RunStarted(run_id="run_9", started_at=AT)
ASKED = CancelRequested(run_id="run_9")
SUCCEEDED = RunSucceeded(run_id="run_9", duration_ms=5, result={"a": 1})
FAILED = RunFailed(run_id="run_9", reason="error", error="boom")
CANCELED = RunCanceled(run_id="run_9", canceled_at=AT)


def given(*events: RunEvent) -> Run:
    run = reduce(rules.evolve, events, None)
    assert run is not None
    return run


def test_a_new_run_is_pending():
    assert given(REQUESTED).status == "pending"


def test_nothing_happens_to_a_run_that_nobody_requested():
    with pytest.raises(ValueError, match=r"run\.started before run\.created"):
        rules.evolve(None, STARTED)


def test_a_run_is_claimed_by_one_server():
    assert rules.claim(given(REQUESTED), "srv_1", 1) == [CLAIMED]
    assert rules.claim(given(REQUESTED, CLAIMED), "srv_2", 1) == []


def test_only_a_claimed_run_starts():
    assert rules.start(given(REQUESTED), AT) == []
    assert rules.start(given(REQUESTED, CLAIMED), AT) == [STARTED]
    assert rules.start(given(REQUESTED, CLAIMED, STARTED), AT) == []


def test_a_pending_run_is_canceled_at_once():
    assert rules.cancel(given(REQUESTED, CLAIMED), AT) == [CANCELED]


def test_a_running_run_is_asked_to_stop_once():
    assert rules.cancel(given(REQUESTED, CLAIMED, STARTED), AT) == [ASKED]
    assert rules.cancel(given(REQUESTED, CLAIMED, STARTED, ASKED), AT) == []


def test_a_running_run_is_canceled_by_its_supervisor_alone():
    assert rules.stopped(given(REQUESTED, CLAIMED, STARTED), AT) == []
    assert rules.stopped(given(REQUESTED, CLAIMED, STARTED, ASKED), AT) == [CANCELED]


@pytest.mark.parametrize("end", [SUCCEEDED, FAILED, CANCELED])
def test_a_finished_run_cannot_be_canceled(end: RunEvent):
    finished = given(REQUESTED, CLAIMED, STARTED, end)
    with pytest.raises(BadRequest, match=f"Cannot cancel run with status: {finished.status}"):
        rules.cancel(finished, AT)


@pytest.mark.parametrize("end", [SUCCEEDED, FAILED, CANCELED])
def test_a_finished_run_does_not_end_again(end: RunEvent):
    finished = given(REQUESTED, CLAIMED, STARTED, end)
    assert rules.succeed(finished, 5, None) == []
    assert rules.fail(finished, "lost", "gone") == []
    assert rules.stopped(finished, AT) == []


def test_a_running_run_succeeds_with_its_result():
    assert rules.succeed(given(REQUESTED, CLAIMED, STARTED), 5, {"a": 1}) == [SUCCEEDED]


def test_a_pending_run_can_fail_to_start():
    assert rules.fail(given(REQUESTED, CLAIMED), "error", "boom") == [FAILED]


Decision = st.sampled_from(["claim", "start", "cancel", "succeed", "fail", "stopped"])


@for_all(st.lists(Decision, max_size=30))
def test_whatever_is_tried_a_run_ends_at_most_once_and_nothing_follows(tries: list[str]):
    events: list[RunEvent] = [REQUESTED]
    for attempt in tries:
        run = given(*events)
        decisions = {
            "claim": lambda run=run: rules.claim(run, "srv_1", 1),
            "start": lambda run=run: rules.start(run, AT),
            "cancel": lambda run=run: rules.cancel(run, AT),
            "succeed": lambda run=run: rules.succeed(run, 1, None),
            "fail": lambda run=run: rules.fail(run, "lost", "gone"),
            "stopped": lambda run=run: rules.stopped(run, AT),
        }
        try:
            events += decisions[attempt]()
        except BadRequest:
            assert run.finished
    terminal = [event for event in events if isinstance(event, RunSucceeded | RunFailed | RunCanceled)]
    assert len(terminal) <= 1
    assert not terminal or events[-1] is terminal[0]


def retried(attempt: int, pause: float, reason: rules.Reason = "error") -> RunRetried:
    return RunRetried(
        run_id="run_9", attempt=attempt, reason=reason, error="boom", not_before=AT + timedelta(seconds=pause)
    )


def test_a_failed_attempt_is_followed_by_another_after_growing_pauses():
    first = given(REQUESTED, CLAIMED, STARTED)
    assert rules.retry(first, [FAILED], 3, 10.0, AT) == [retried(2, 10)]
    second = given(REQUESTED, CLAIMED, STARTED, retried(2, 10), CLAIMED, STARTED)
    assert rules.retry(second, [FAILED], 3, 10.0, AT) == [retried(3, 20)]
    assert rules.retry(second, [FAILED], 2, 10.0, AT) == [FAILED]
    assert rules.retry(second, [FAILED], 3, 3000.0, AT) == [retried(3, 3600)]


@pytest.mark.parametrize("reason", ["error", "timeout", "out_of_memory", "lost", "start_failed"])
def test_what_another_attempt_may_mend_is_tried_again(reason: rules.Reason):
    failed = RunFailed(run_id="run_9", reason=reason, error="boom")
    assert rules.retry(given(REQUESTED, CLAIMED), [failed], 2, 1.0, AT) == [retried(2, 1, reason)]


@pytest.mark.parametrize("reason", ["disk_full", "expired"])
def test_what_would_end_the_same_is_not_tried_again(reason: rules.Reason):
    failed = RunFailed(run_id="run_9", reason=reason, error="boom")
    assert rules.retry(given(REQUESTED, CLAIMED, STARTED), [failed], 2, 1.0, AT) == [failed]


def test_only_failures_are_tried_again_and_not_of_a_run_that_is_to_stop():
    running = given(REQUESTED, CLAIMED, STARTED)
    assert rules.retry(running, [SUCCEEDED], 2, 1.0, AT) == [SUCCEEDED]
    assert rules.retry(running, [], 2, 1.0, AT) == []
    assert rules.retry(given(REQUESTED, CLAIMED, STARTED, ASKED), [FAILED], 2, 1.0, AT) == [FAILED]


def test_a_run_that_waits_for_its_next_attempt_is_pending_and_nobodys():
    waiting = given(REQUESTED, CLAIMED, STARTED, retried(2, 10))
    assert (waiting.status, waiting.server_id, waiting.attempt) == ("pending", None, 2)
    assert rules.claim(waiting, "srv_2", 4) == [RunClaimed(run_id="run_9", server_id="srv_2", epoch=4)]
    assert rules.cancel(waiting, AT) == [CANCELED]
