"""Whatever happens to threads, in whatever order, over a real log: they are as a model of lists and dicts says."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from crewship import clock
from crewship.blobs import BlobStore
from crewship.commands import runs, threads
from crewship.engine.conversation import Conversation
from crewship.engine.supervisor import end
from crewship.eventlog import Author, Change, EventLog, open_log
from domain import deployment, thread
from domain import run as run_rules
from domain.errors import Conflict, NotFound

AUTHOR = Author(by="key:test")
VALUES = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), min_size=1)


class Model:
    """A thread as it should be. `states` are pairs of a checkpoint's id and its values, the oldest first."""

    def __init__(self, states: list[tuple[str, dict[str, int]]] | None = None) -> None:
        self.states = list(states or [])
        self.running: str | None = None
        self.waiting: list[str] = []
        self.unusable = self.deleted = False

    @property
    def values(self) -> dict[str, int]:
        return self.states[-1][1] if self.states else {}


class Threads(RuleBasedStateMachine):
    """The commands of the API and the ends that the engine writes."""

    known = Bundle("known")

    loop: asyncio.Runner
    log: EventLog
    blobs: BlobStore

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, Model] = {}

    def do(self, step: Any) -> Any:
        return self.loop.run(step)

    async def states_of(self, thread_id: str) -> list[tuple[str, dict[str, int]]]:
        events = [one.event for one in await self.log.read(0, streams=(thread.state_of(thread_id),), limit=1000)]
        return [(one.checkpoint_id, one.values or {}) for one in events if isinstance(one, thread.StateSet)]

    @precondition(lambda self: len(self.models) < 2)  # few, so that much happens to each
    @rule(target=known, values=st.one_of(st.just({}), VALUES))
    def create(self, values: dict[str, int]) -> str:
        thread_id: str = self.do(threads.create(self.log, self.blobs, "dep_1", {}, values, AUTHOR))
        self.models[thread_id] = Model(self.do(self.states_of(thread_id)))
        assert self.models[thread_id].values == values
        return thread_id

    @rule(thread_id=known, on_busy=st.sampled_from(["reject", "enqueue", "cancel"]))
    def begin(self, thread_id: str, on_busy: Any) -> None:
        model = self.models[thread_id]
        turn = threads.Turn(input={}, on_busy=on_busy)
        try:
            begun = self.do(threads.begin(self.log, self.blobs, thread_id, turn, AUTHOR))
        except NotFound:
            assert model.deleted
            return
        except Conflict:
            assert model.running is not None
            assert on_busy == "reject"
            return
        assert not model.deleted
        if model.running is None:
            model.running = begun.run_id
        elif on_busy == "enqueue":
            model.waiting.append(begun.run_id)
        else:
            model.waiting.insert(0, begun.run_id)
            self.stopped(model)

    @rule(thread_id=known)
    def launch(self, thread_id: str) -> None:
        if (run_id := self.models[thread_id].running) is not None:
            self.do(self.started(run_id))

    async def started(self, run_id: str) -> None:
        run, at = await runs.get(self.log, run_id)
        if run.status == "pending":
            started = run_rules.RunStarted(run_id=run_id, started_at=clock.now())
            claimed = run_rules.RunClaimed(run_id=run_id, server_id="srv_1", epoch=1)
            await self.log.append(Change(run_id, at, [claimed, started]), author=AUTHOR)

    @rule(thread_id=known, values=VALUES)
    def finish(self, thread_id: str, values: dict[str, int]) -> None:
        model = self.models[thread_id]
        if model.running is None:
            return
        self.do(self.ended_well(thread_id, model.running, values))
        before = list(model.states)
        model.states = self.do(self.states_of(thread_id))
        assert model.states == [*before, (model.states[-1][0], values)]
        model.unusable = False
        self.next_turn(model)

    async def ended_well(self, thread_id: str, run_id: str, values: dict[str, int]) -> None:
        await self.started(run_id)
        run, at = await runs.get(self.log, run_id)
        conversation = Conversation(self.log, self.blobs, run, thread_id)
        await conversation.open()
        leaving = await conversation.ending(True, values)
        await self.log.append(*leaving, Change(run_id, at, run_rules.succeed(run, 1, values)), author=AUTHOR)

    @rule(thread_id=known, reason=st.sampled_from(["error", "lost"]), unusable=st.booleans())
    def fail(self, thread_id: str, reason: Any, unusable: bool) -> None:
        model = self.models[thread_id]
        if model.running is None:
            return
        run, _ = self.do(runs.get(self.log, model.running))
        self.do(end(self.log, model.running, reason, "x", AUTHOR, unusable=unusable))
        model.unusable = model.unusable or (unusable or False)
        if run.cancel_requested:
            assert self.do(runs.get(self.log, run.id))[0].status == "canceled"
        self.next_turn(model)

    @rule(thread_id=known, which=st.integers(0, 5))
    def cancel(self, thread_id: str, which: int) -> None:
        model = self.models[thread_id]
        live = [*([model.running] if model.running else []), *model.waiting]
        if not live:
            return
        run_id = live[which % len(live)]
        self.do(runs.cancel(self.log, run_id, AUTHOR))
        if run_id in model.waiting:
            model.waiting.remove(run_id)
        else:
            self.stopped(model)

    def stopped(self, model: Model) -> None:
        """A run that had not started is gone at once; one that runs is ended by its supervisor, later."""
        assert model.running is not None
        if self.do(runs.get(self.log, model.running))[0].finished:
            self.next_turn(model)

    def next_turn(self, model: Model) -> None:
        model.running = model.waiting.pop(0) if model.waiting else None

    @precondition(lambda self: len(self.models) < 4)
    @rule(target=known, thread_id=known, which=st.integers(0, 5), whole=st.booleans())
    def copy(self, thread_id: str, which: int, whole: bool) -> str:
        model = self.models[thread_id]
        until = None if whole or not model.states else which % len(model.states)
        named = None if until is None else model.states[until][0]
        try:
            copied: str = self.do(threads.copy(self.log, thread_id, named, {}, AUTHOR))
        except (Conflict, NotFound):
            assert model.running is not None or model.deleted
            return thread_id
        self.models[copied] = Model(model.states if until is None else model.states[: until + 1])
        return copied

    @rule(thread_id=known, values=VALUES, back=st.one_of(st.none(), st.integers(0, 5)))
    def edit(self, thread_id: str, values: dict[str, int], back: int | None) -> None:
        model = self.models[thread_id]
        restored = None if back is None or not model.states else model.states[back % len(model.states)]
        try:
            assert self.do(threads.set_values(self.log, self.blobs, thread_id, values, AUTHOR, restored))
        except (Conflict, NotFound):
            assert model.running is not None or model.deleted
            return
        wanted = {**(restored[1] if restored else model.values), **values}
        model.states.append((self.do(self.states_of(thread_id))[-1][0], wanted))
        model.unusable = False

    @rule(thread_id=known, lot=st.integers(0, 9))
    def delete(self, thread_id: str, lot: int) -> None:
        if lot:
            return  # seldom, so that threads live long enough for something to happen
        model = self.models[thread_id]
        try:
            self.do(threads.delete(self.log, thread_id, AUTHOR))
        except (Conflict, NotFound):
            assert model.running is not None or model.deleted
            return
        model.deleted = True

    @invariant()
    def agree(self) -> None:
        for thread_id, model in self.models.items():
            found, _ = self.do(self.log.load(thread_id, thread.evolve))
            assert (found.running, list(found.queue)) == (model.running, model.waiting)
            assert (found.deleted, found.unusable) == (model.deleted, model.unusable)
            assert self.do(self.states_of(thread_id)) == model.states  # nothing was ever rewritten
            if model.running is not None:
                assert not self.do(runs.get(self.log, model.running))[0].finished
            assert (found.status == "busy") == (model.running is not None)


async def opened(folder: Path, stack: AsyncExitStack) -> None:
    """One log for all examples: each has threads of its own in it."""
    Threads.log = await open_log(folder, None, b"k" * 32, stack)
    Threads.blobs = BlobStore(folder / "blobs")
    Threads.blobs.open()
    version = {"deployment_id": "dep_1", "version_id": "ver_1", "version_number": 1, "environment": "production"}
    events = [
        deployment.DeploymentCreated(deployment_id="dep_1", name="crew"),
        deployment.VersionNumbered(**version, framework="crewai"),
        deployment.VersionActivated(**version, reason="deploy"),
    ]
    await Threads.log.append(Change("dep_1", 0, events), author=AUTHOR)


def test_threads_are_what_happened_to_them(tmp_path: Path, pytestconfig: pytest.Config):
    long = pytestconfig.getoption("--long")
    case = Threads.TestCase
    case.settings = settings(max_examples=1000 if long else 40, stateful_step_count=60, deadline=None)
    with asyncio.Runner() as loop:
        Threads.loop = loop
        stack = AsyncExitStack()
        loop.run(opened(tmp_path, stack))
        try:
            case().runTest()
        finally:
            loop.run(stack.aclose())
