"""What may be forgotten, and what is left of it."""

from datetime import UTC, datetime
from functools import reduce

import pytest

from domain import run as run_rules
from domain import thread as thread_rules
from domain.erasure import RunErased, ThreadErased
from domain.errors import Conflict
from domain.event import subject
from domain.run import Resume, Run, RunRequested, RunStarted, RunSucceeded
from domain.thread import Freed, Interrupt, RunTaken, Thread, ThreadCreated, ThreadDeleted

AT = datetime(2026, 1, 1, tzinfo=UTC)
REQUESTED = RunRequested(
    run_id="run_9",
    deployment_id="dep_1",
    version_id="ver_1",
    version_number=1,
    environment="production",
    input={"name": "Ada"},
    resume=Resume("Ada"),
)
STARTED = RunStarted(run_id="run_9", started_at=AT)
SUCCEEDED = RunSucceeded(run_id="run_9", duration_ms=5)
ERASED = RunErased(run_id="run_9")
CREATED = ThreadCreated(thread_id="thr_1", deployment_id="dep_1")
TAKEN = RunTaken(thread_id="thr_1", run_id="run_9")
ASKS = Freed(
    thread_id="thr_1", run_id="run_9", succeeded=True, interrupted=True, interrupts=[Interrupt(id="i", value="Ada?")]
)
FORGOTTEN = ThreadErased(thread_id="thr_1")


def given_run(*events: run_rules.RunEvent) -> Run:
    run = reduce(run_rules.evolve, events, None)
    assert run is not None
    return run


def given_thread(*events: thread_rules.ThreadEvent) -> Thread:
    thread = reduce(thread_rules.evolve, events, None)
    assert thread is not None
    return thread


@pytest.mark.parametrize("events", [(REQUESTED,), (REQUESTED, STARTED)], ids=["pending", "running"])
def test_a_run_that_is_under_way_is_not_erased(events: tuple[run_rules.RunEvent, ...]):
    with pytest.raises(Conflict, match=r"run_9 is (pending|running); cancel it first"):
        run_rules.erase(given_run(*events), "request")


def test_an_ended_run_is_erased_once():
    ended = given_run(REQUESTED, STARTED, SUCCEEDED)
    assert run_rules.erase(ended, "retention") == [RunErased(run_id="run_9", why="retention")]
    assert run_rules.erase(given_run(REQUESTED, STARTED, SUCCEEDED, ERASED), "request") == []


def test_an_erased_run_holds_nothing_and_stays_what_it_was():
    erased = given_run(REQUESTED, STARTED, SUCCEEDED, ERASED)
    assert (erased.input, erased.stored_input, erased.resume, erased.update) == (None, None, None, None)
    assert (erased.status, erased.erased, erased.finished) == ("succeeded", True, True)


def test_a_busy_thread_is_not_erased():
    with pytest.raises(Conflict, match="busy with run run_9") as refused:
        thread_rules.erase(given_thread(CREATED, TAKEN), "request")
    assert refused.value.extras == {"running_run_id": "run_9"}


def test_a_thread_at_rest_is_erased_once_also_when_it_was_deleted():
    for thread in (given_thread(CREATED), given_thread(CREATED, ThreadDeleted(thread_id="thr_1"))):
        assert thread_rules.erase(thread, "request") == [FORGOTTEN]
    assert thread_rules.erase(given_thread(CREATED, FORGOTTEN), "request") == []


def test_an_erased_thread_asks_nothing_and_takes_nothing_more():
    erased = given_thread(CREATED, TAKEN, ASKS, FORGOTTEN)
    assert (erased.asked, erased.status) == (None, "idle")
    for refuse in (
        lambda: thread_rules.begin(erased, "run_10", "enqueue"),
        lambda: thread_rules.at_rest(erased),
        lambda: thread_rules.not_erased(erased),
    ):
        with pytest.raises(Conflict, match="thr_1 was erased"):
            refuse()


def test_what_an_endpoint_is_told_of_a_run_is_the_runs():
    assert subject("dep_1:to:whk_1:run_9") == "run_9"
    assert subject("dep_1:to:whk_1:dlv_1") == "dep_1"
    assert subject("run_9:output") == subject("run_9") == "run_9"
    assert subject("dep_1:env") == "dep_1"
