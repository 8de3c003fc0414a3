"""Whose turn is next."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from crewship.engine.waiting import Pending, WaitingRuns

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pending(run_id: str, deployment: str, most: int = 0, not_before: datetime | None = None) -> Pending:
    return Pending(run_id, deployment, most, NOW + timedelta(hours=1), not_before)


def turns(waiting: WaitingRuns, running: Counter[str] | None = None) -> list[str]:
    """Who starts, one after the other, while nobody ends."""
    running = Counter() if running is None else running
    told = []
    while (taken := waiting.take(NOW, running, ())) is not None:
        running[taken.deployment_id] += 1
        told.append(taken.run_id)
    return told


def queue(*runs: Pending) -> WaitingRuns:
    waiting = WaitingRuns()
    for run in runs:
        waiting.add(run)
    return waiting


def test_within_a_deployment_the_oldest_is_first():
    assert turns(queue(pending("1", "a"), pending("2", "a"), pending("3", "a"))) == ["1", "2", "3"]


def test_a_long_queue_of_one_deployment_does_not_keep_another_waiting():
    many = [pending(f"a{number}", "a") for number in range(100)]
    assert turns(queue(*many, pending("b1", "b"), pending("b2", "b")))[:4] == ["a0", "b1", "a1", "b2"]


def test_a_deployment_that_runs_much_lets_others_go_first():
    assert turns(queue(pending("a1", "a"), pending("b1", "b")), Counter(a=3))[0] == "b1"


def test_a_deployments_own_limit_is_kept_and_holds_up_nobody_else():
    assert turns(queue(pending("a1", "a", most=1), pending("a2", "a", most=1), pending("b1", "b"))) == ["a1", "b1"]


def test_an_attempt_before_its_time_holds_up_nobody():
    early = pending("1", "a", not_before=NOW + timedelta(seconds=1))
    assert turns(queue(early, pending("2", "a"))) == ["2"]


def test_of_a_schedule_whose_run_goes_on_no_other_is_taken():
    waiting = queue(Pending("1", "a", 0, NOW + timedelta(hours=1), None, "sch_1"), pending("2", "a"))
    taken = waiting.take(NOW, Counter(), (), {"sch_1"})
    assert taken is not None
    assert taken.run_id == "2"


def test_what_is_being_cleared_away_is_not_started():
    waiting = queue(pending("1", "a"))
    assert waiting.take(NOW, Counter(), {"1"}) is None
    assert len(waiting) == 1


@given(st.lists(st.sampled_from("abc"), max_size=30), st.sets(st.integers(0, 29)))
def test_everything_that_was_added_and_not_taken_out_has_its_turn_once(deployments: list[str], out: set[int]):
    waiting = queue(*(pending(str(number), name) for number, name in enumerate(deployments)))
    for number in out:
        waiting.discard(str(number))
    left = {str(number) for number in range(len(deployments)) if number not in out}
    assert len(waiting) == len(left)
    told = turns(waiting)
    assert sorted(told) == sorted(left)
    assert len(waiting) == 0
    assert not list(waiting)
