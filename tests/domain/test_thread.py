from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain import thread as rules
from domain.errors import BadRequest, Conflict
from domain.thread import (
    Channel,
    CheckpointSaved,
    Freed,
    Interrupt,
    Memory,
    RunDequeued,
    RunEnqueued,
    RunTaken,
    StateEvent,
    StateSet,
    Thread,
    ThreadCreated,
    ThreadDeleted,
    ThreadEvent,
    WritesSaved,
)

CREATED = ThreadCreated(thread_id="thr_1", deployment_id="dep_1")
ASKED = [Interrupt(id="i1", value="Really?")]


def taken(run_id: str) -> RunTaken:
    return RunTaken(thread_id="thr_1", run_id=run_id)


def freed(run_id: str, succeeded: bool = True, interrupts: list[Interrupt] | None = None) -> Freed:
    interrupted = interrupts is not None
    return Freed(thread_id="thr_1", run_id=run_id, succeeded=succeeded, interrupts=interrupts, interrupted=interrupted)


def given(*events: ThreadEvent) -> Thread:
    thread = reduce(rules.evolve, events, None)
    assert thread is not None
    return thread


def test_nothing_happens_to_a_thread_that_was_not_created():
    with pytest.raises(ValueError, match=r"before thread\.created"):
        rules.evolve(None, taken("run_1"))


def test_a_run_takes_a_free_thread():
    assert rules.begin(given(CREATED), "run_1", "reject") == [taken("run_1")]
    assert given(CREATED, taken("run_1")).status == "busy"


def test_a_busy_thread_names_its_run():
    with pytest.raises(Conflict, match="run_1") as refused:
        rules.begin(given(CREATED, taken("run_1")), "run_2", "reject")
    assert refused.value.extras == {"running_run_id": "run_1"}


def test_runs_wait_oldest_first_and_one_that_cancels_goes_before_them():
    busy = given(CREATED, taken("run_1"))
    waiting = reduce(rules.evolve, rules.begin(busy, "run_2", "enqueue"), busy)
    waiting = reduce(rules.evolve, rules.begin(waiting, "run_3", "enqueue"), waiting)
    waiting = reduce(rules.evolve, rules.begin(waiting, "run_4", "cancel"), waiting)
    assert waiting.queue == ("run_4", "run_2", "run_3")
    assert rules.leave(waiting, "run_1", succeeded=True) == [freed("run_1"), taken("run_4")]


def test_the_queue_is_bounded():
    busy = given(CREATED, taken("run_0"), *(RunEnqueued(thread_id="thr_1", run_id=f"r{n}") for n in range(100)))
    with pytest.raises(Conflict, match="wait for thread"):
        rules.begin(busy, "run_9", "enqueue")


def test_a_run_that_only_waited_gives_up_its_place():
    waiting = given(CREATED, taken("run_1"), RunEnqueued(thread_id="thr_1", run_id="run_2"))
    assert rules.leave(waiting, "run_2", succeeded=False) == [RunDequeued(thread_id="thr_1", run_id="run_2")]


def test_a_run_that_has_nothing_to_do_with_the_thread_leaves_it_alone():
    assert rules.leave(given(CREATED, taken("run_1")), "run_9", succeeded=True) == []


def test_a_run_that_stops_to_ask_leaves_an_interrupted_thread():
    thread = given(CREATED, taken("run_1"), freed("run_1", interrupts=ASKED))
    assert (thread.status, thread.asked) == ("interrupted", tuple(ASKED))


def test_a_run_that_fails_leaves_the_thread_as_it_was():
    assert given(CREATED, taken("run_1"), freed("run_1", succeeded=False)).status == "idle"
    asked = (CREATED, taken("run_1"), freed("run_1", interrupts=ASKED))
    assert given(*asked, taken("run_2"), freed("run_2", succeeded=False)).asked == tuple(ASKED)
    assert given(*asked, taken("run_2"), freed("run_2")).status == "idle"


def test_only_what_was_asked_can_be_answered():
    idle = given(CREATED)
    asked = given(CREATED, taken("run_1"), freed("run_1", interrupts=ASKED))
    rules.answer(asked, has_input=False, has_resume=True)
    rules.answer(asked, has_input=True, has_resume=False)
    with pytest.raises(BadRequest, match="it asks nothing"):
        rules.answer(idle, has_input=False, has_resume=True)
    with pytest.raises(BadRequest, match="give one of them"):
        rules.answer(asked, has_input=True, has_resume=True)


def test_only_a_thread_at_rest_is_deleted_or_edited():
    assert rules.delete(given(CREATED)) == [ThreadDeleted(thread_id="thr_1")]
    busy = given(CREATED, taken("run_1"))
    for refuse in (rules.delete, rules.at_rest):
        with pytest.raises(Conflict, match="run_1"):
            refuse(busy)


def test_a_thread_whose_state_cannot_be_used_is_in_error_until_something_mends_it():
    unusable = Freed(thread_id="thr_1", run_id="run_1", succeeded=False, unusable=True)
    broken = (CREATED, taken("run_1"), unusable)
    assert rules.leave(given(*broken[:2]), "run_1", succeeded=False, unusable=True) == [unusable]
    assert given(*broken).status == "error"
    assert rules.begin(given(*broken), "run_2", "reject") == [taken("run_2")]
    assert given(*broken, taken("run_2")).status == "busy"
    assert given(*broken, taken("run_2"), freed("run_2", succeeded=False)).status == "error"
    assert given(*broken, taken("run_2"), freed("run_2")).status == "idle"
    assert rules.mend(given(*broken)) == [rules.Mended(thread_id="thr_1")]
    assert given(*broken, *rules.mend(given(*broken))).status == "idle"
    assert rules.mend(given(CREATED)) == []


class Turns(RuleBasedStateMachine):
    """Random begin / finish / fail / interrupt / cancel against a model of two lists."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = given(CREATED)
        self.numbers = 0
        self.running: str | None = None
        self.waiting: list[str] = []

    def happen(self, events: list[ThreadEvent]) -> None:
        self.thread = reduce(rules.evolve, events, self.thread)

    @rule(on_busy=st.sampled_from(["reject", "enqueue", "cancel"]))
    def begin(self, on_busy: Any) -> None:
        self.numbers += 1
        run_id = f"run_{self.numbers}"
        try:
            self.happen(rules.begin(self.thread, run_id, on_busy))
        except Conflict:
            assert self.running is not None
            return
        if self.running is None:
            self.running = run_id
        elif on_busy == "cancel":
            self.waiting.insert(0, run_id)
        else:
            self.waiting.append(run_id)

    @precondition(lambda self: self.running is not None)
    @rule(succeeded=st.booleans(), asks=st.booleans())
    def end(self, succeeded: bool, asks: bool) -> None:
        interrupts = ASKED if succeeded and asks else None
        assert self.running is not None
        self.happen(rules.leave(self.thread, self.running, succeeded, interrupts))
        self.running = self.waiting.pop(0) if self.waiting else None

    @precondition(lambda self: bool(self.waiting))
    @rule(chance=st.integers(0, 1000))
    def give_up(self, chance: int) -> None:
        run_id = self.waiting.pop(chance % len(self.waiting))
        self.happen(rules.leave(self.thread, run_id, succeeded=False))

    @invariant()
    def agrees(self) -> None:
        assert self.thread.running == self.running
        assert list(self.thread.queue) == self.waiting
        assert (self.thread.status == "busy") == (self.running is not None)
        assert self.running is not None or not self.waiting


TestTurns = Turns.TestCase


def saved(checkpoint_id: str, line: int, ns: str = "", run_id: str = "run_1") -> CheckpointSaved:
    return CheckpointSaved(
        thread_id="thr_1",
        run_id=run_id,
        line=line,
        ns=ns,
        checkpoint_id=checkpoint_id,
        sha256="ab",
        channels={"messages": Channel(version="1", sha256="cd")},
    )


def remembered(*events: StateEvent) -> Memory:
    return reduce(rules.remember, events, Memory())


def test_the_head_is_where_the_last_state_says_and_not_the_last_step():
    state = StateSet(thread_id="thr_1", checkpoint_id="c1", source="run", graph_checkpoint="c1", values={"a": 1})
    memory = remembered(saved("c1", 5), state, saved("c2", 3, run_id="run_2"))
    assert memory.head == "c1"
    assert (memory.last_run, memory.said) == ("run_2", 3)


def test_writes_belong_to_their_checkpoint():
    writes = WritesSaved(thread_id="thr_1", run_id="run_1", line=6, ns="", checkpoint_id="c1", task_id="t", sha256="ef")
    memory = remembered(saved("c1", 5), writes)
    assert memory.saved[("", "c1")].writes == (writes,)
    assert memory.said == 6


def test_what_a_failed_attempt_wrote_gives_way_to_what_the_next_one_writes():
    def writes(line: int, attempt: int) -> WritesSaved:
        told = WritesSaved(
            thread_id="thr_1", run_id="run_2", line=line, ns="", checkpoint_id="c1", task_id="t", sha256="ef"
        )
        return msgspec.structs.replace(told, attempt=attempt)

    memory = remembered(saved("c1", 5), writes(2, 1), writes(3, 1), writes(2, 2))
    assert memory.saved[("", "c1")].writes == (writes(2, 2),)
    assert (memory.last_run, memory.last_attempt, memory.said) == ("run_2", 2, 2)


@for_all(st.lists(st.sampled_from(["c1", "c2", "c3"]), max_size=20))
def test_history_is_never_rewritten(steps: list[str]):
    memory, before = Memory(), dict[str, Any]()
    for line, checkpoint_id in enumerate(steps):
        unique = f"{checkpoint_id}-{line}"
        memory = rules.remember(memory, saved(unique, line))
        assert before.items() <= memory.saved.items()
        before = dict(memory.saved)
