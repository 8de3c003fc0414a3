"""Threads: conversations, and the runs that take turns in them."""

from typing import Any

import msgspec

from crewship import clock, ids
from crewship.blobs import BlobStore
from crewship.commands import deployments
from crewship.commands.deciding import decide
from crewship.commands.idempotency import Idempotency, made, making, remembered, remembering
from crewship.commands.values import keep
from crewship.eventlog import Author, Change, EventLog
from domain import deployment as deployment_rules
from domain import run as run_rules
from domain import thread as rules
from domain.deployment import Environment
from domain.errors import BadRequest, NotFound
from domain.event import Mark
from domain.run import Kind, Resume, Run, RunRequested, Update
from domain.thread import Interrupt, Memory, OnBusy, StateSet, Thread


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks of a thread: a run with input or with an answer, or an edit of its state."""

    environment: Environment = "production"
    input: dict[str, Any] | None = None
    resume: Resume | None = None
    update: Update | None = None
    on_busy: OnBusy = "reject"
    idempotency: Idempotency | None = None

    @property
    def kind(self) -> Kind:
        """An edit is a run of the graph's own rules for its state, and of nothing else."""
        return "run" if self.update is None else "edit"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a thread that will be."""

    run_id: str
    thread_id: str
    version_id: str
    version_number: int
    status: str


async def find(log: EventLog, thread_id: str) -> tuple[Thread, int]:
    """A thread and where its stream stands; raises NotFound."""
    thread, at = await log.load(thread_id, rules.evolve) if thread_id.startswith("thr_") else (None, 0)
    if thread is None or thread.deleted:
        raise NotFound(f"Thread {thread_id[:80]} not found")
    return thread, at


async def memory_of(log: EventLog, thread_id: str) -> tuple[Memory, int]:
    """What a thread remembers, and where that stream stands."""
    memory, at = await log.load(rules.state_of(thread_id), rules.remember)
    return memory or Memory(), at


async def create(
    log: EventLog,
    blobs: BlobStore,
    deployment: str,
    metadata: dict[str, Any],
    values: dict[str, Any],
    author: Author,
    idempotency: Idempotency | None = None,
) -> str:
    """Begin a conversation; returns its id."""
    kept, stored = await keep(blobs, values)

    async def attempt() -> str:
        if (earlier := await made(log, idempotency)) is not None:
            return earlier
        found, deployment_at = await deployments.find(log, deployment)
        thread_id = ids.new("thr")
        created = rules.ThreadCreated(thread_id=thread_id, deployment_id=found.id, metadata=metadata)
        changes = [Change(found.id, deployment_at), Change(thread_id, 0, [created]), *making(idempotency, thread_id)]
        if values:
            state = StateSet(
                thread_id=thread_id,
                checkpoint_id=ids.new("chk"),
                source="creation",
                values=kept,
                stored_values=stored,
            )
            changes.append(Change(rules.state_of(thread_id), 0, [state]))
        await log.append(*changes, author=author)
        return thread_id

    return await decide(attempt)


async def set_metadata(log: EventLog, thread_id: str, metadata: dict[str, Any], author: Author) -> None:
    """Give a thread other metadata."""

    async def attempt() -> None:
        thread, at = await find(log, thread_id)
        rules.not_erased(thread)
        changed = rules.MetadataChanged(thread_id=thread_id, metadata=metadata)
        await log.append(Change(thread_id, at, [changed]), author=author)

    await decide(attempt)


async def delete(log: EventLog, thread_id: str, author: Author) -> None:
    """Take a thread at rest out of service."""

    async def attempt() -> None:
        thread, at = await find(log, thread_id)
        await log.append(Change(thread_id, at, rules.delete(thread)), author=author)

    await decide(attempt)


async def begin(log: EventLog, blobs: BlobStore, thread_id: str, turn: Turn, author: Author) -> Begun:
    """Ask for a run in a thread: it takes the thread and is created in one append, or waits for it, or is refused."""
    value, stored = await keep(blobs, turn.input or {})

    async def attempt() -> tuple[Begun, str | None]:
        if (earlier := await remembered(log, turn.idempotency)) is not None:
            return _begun(earlier.id, thread_id, earlier.version_id, earlier.version_number, earlier.status), None
        thread, at = await find(log, thread_id)
        rules.answer(thread, turn.input is not None, turn.resume is not None)
        deployment, deployment_at = await deployments.find(log, thread.deployment_id)
        live = deployment_rules.live_version(deployment, turn.environment)
        run_id = ids.new("run")
        requested = RunRequested(
            run_id=run_id,
            deployment_id=deployment.id,
            version_id=live.version_id,
            version_number=live.version_number,
            environment=turn.environment,
            thread_id=thread_id,
            kind=turn.kind,
            resume=turn.resume,
            update=turn.update,
            input=value,
            stored_input=stored,
        )
        taken = rules.begin(thread, run_id, turn.on_busy)
        await log.append(
            Change(deployment.id, deployment_at),
            Change(thread_id, at, taken),
            Change(run_id, 0, [requested]),
            *remembering(turn.idempotency, run_id),
            author=author,
        )
        return _begun(run_id, thread_id, live.version_id, live.version_number, "pending"), thread.running

    begun, running = await decide(attempt)
    if turn.on_busy == "cancel" and running is not None:
        await stop(log, running, author)
    return begun


def _begun(run_id: str, thread_id: str, version_id: str, version_number: int, status: str) -> Begun:
    return Begun(
        run_id=run_id, thread_id=thread_id, version_id=version_id, version_number=version_number, status=status
    )


async def stop(log: EventLog, run_id: str, author: Author) -> None:
    """Ask a thread's run to make room. One that ended by itself meanwhile has done so."""

    async def attempt() -> None:
        run, at = await log.load(run_id, run_rules.evolve)
        if run is None or run.finished:
            return
        events = run_rules.cancel(run, clock.now())
        ended = any(isinstance(event, run_rules.RunCanceled) for event in events)
        leave = await leaving(log, run, succeeded=False) if ended else []
        if events:
            await log.append(Change(run_id, at, events), *leave, author=author)

    await decide(attempt)


async def leaving(
    log: EventLog,
    run: Run,
    *,
    succeeded: bool,
    interrupts: list[Interrupt] | None = None,
    unusable: bool = False,
) -> list[Change]:
    """What the end of a run changes about its thread, to be in the same append; nothing for a run without one."""
    if run.thread_id is None:
        return []
    thread, at = await log.load(run.thread_id, rules.evolve)
    if thread is None:
        return []
    return [Change(thread.id, at, rules.leave(thread, run.id, succeeded, interrupts, unusable=unusable))]


async def set_values(
    log: EventLog,
    blobs: BlobStore,
    thread_id: str,
    values: dict[str, Any],
    author: Author,
    restored: tuple[str, dict[str, Any]] | None = None,
) -> bool:
    """Replace top-level keys of a state that no graph has made; False if one did, and must decide.

    `restored` goes back first: a checkpoint's id and its values.
    """
    thread, at = await find(log, thread_id)
    rules.at_rest(thread)
    memory, memory_at = await memory_of(log, thread_id)
    graph_made = memory.head if restored is None else memory.states.get(restored[0], restored[0])
    if graph_made is not None:
        return False
    before = await values_of(blobs, memory) if restored is None else restored[1]
    kept, stored = await keep(blobs, {**before, **values})
    state = StateSet(
        thread_id=thread_id,
        checkpoint_id=ids.new("chk"),
        source="edit",
        parent_id=memory.newest.checkpoint_id if memory.newest else None,
        values=kept,
        stored_values=stored,
    )
    # The thread's own stream is held, so that no run begins meanwhile.
    held = Change(thread_id, at, rules.mend(thread))
    await log.append(held, Change(rules.state_of(thread_id), memory_at, [state]), author=author)
    return True


async def values_of(blobs: BlobStore, memory: Memory) -> dict[str, Any]:
    """The thread's values as they count now."""
    newest = memory.newest
    if newest is None:
        return {}
    if newest.stored_values is not None:
        loaded: dict[str, Any] = msgspec.json.decode(await blobs.load(newest.stored_values.sha256))
        return loaded
    return newest.values or {}


async def copy(
    log: EventLog,
    thread_id: str,
    checkpoint_id: str | None,
    metadata: dict[str, Any] | None,
    author: Author,
    idempotency: Idempotency | None = None,
) -> str:
    """A new thread with the same history, or with it up to one of its checkpoints: a branch. Returns its id."""

    async def attempt() -> str:
        if (earlier := await made(log, idempotency)) is not None:
            return earlier
        thread, at = await find(log, thread_id)
        rules.at_rest(thread)
        memory, memory_at = await memory_of(log, thread_id)
        if checkpoint_id is not None and checkpoint_id not in memory.states:
            raise NotFound(f"Thread {thread_id} has no checkpoint {checkpoint_id}")
        deployment, deployment_at = await deployments.find(log, thread.deployment_id)
        copied_id = ids.new("thr")
        history, marks = await _history(log, thread_id, copied_id, checkpoint_id)
        created = rules.ThreadCreated(
            thread_id=copied_id, deployment_id=deployment.id, metadata=metadata, copied_from=thread_id
        )
        await log.append(
            Change(deployment.id, deployment_at),
            Change(thread_id, at),
            Change(rules.state_of(thread_id), memory_at),
            Change(copied_id, 0, [created]),
            Change(rules.state_of(copied_id), 0, history, marks),
            *making(idempotency, copied_id),
            author=author,
        )
        return copied_id

    return await decide(attempt)


async def _history(
    log: EventLog, thread_id: str, copied_id: str, until: str | None
) -> tuple[list[rules.StateEvent], list[Mark]]:
    """The state events of a thread as another's, with the times at which they happened."""
    events: list[rules.StateEvent] = []
    marks: list[Mark] = []
    after = 0
    stream = rules.state_of(thread_id)
    while batch := await log.read(after, streams=(stream,)):
        for recorded in batch:
            event = recorded.event
            if not isinstance(event, rules.StateEvent):
                raise BadRequest(f"Thread {thread_id} cannot be copied")
            events.append(msgspec.structs.replace(event, thread_id=copied_id))
            marks.append(Mark(happened_at=recorded.happened_at))
            if until is not None and isinstance(event, StateSet) and event.checkpoint_id == until:
                return events, marks
        after = batch[-1].position
    return events, marks
