"""A thread: a persistent conversation of one deployment. One run at a time; what it remembers is a stream of its own.

`thr_1` holds the decisions, which are small and folded by every command. `thr_1:state` holds what the thread remembers:
super-steps of its graph as blob references, and after each run or edit the values that count from then on.
"""

from typing import Any, Literal

import msgspec

from domain.erasure import ThreadErased, Why
from domain.errors import BadRequest, Conflict
from domain.event import Event, Sealed
from domain.output import Stored

Status = Literal["idle", "busy", "interrupted", "error"]
OnBusy = Literal["reject", "enqueue", "cancel"]
Source = Literal["run", "edit", "creation", "copy"]
MOST_QUEUED = 100


class Interrupt(msgspec.Struct, frozen=True, kw_only=True):
    """What the graph asks before it goes on."""

    id: str
    value: Any = None


class ThreadCreated(Event, tag="thread.created", frozen=True, kw_only=True):
    """A conversation was begun; `copied_from` names the one whose history it starts with."""

    thread_id: str
    deployment_id: str
    metadata: Sealed[dict[str, Any]] = None
    copied_from: str | None = None


class MetadataChanged(Event, tag="thread.metadata_changed", frozen=True, kw_only=True):
    """The thread's metadata are these from now on."""

    thread_id: str
    metadata: Sealed[dict[str, Any]] = None


class RunEnqueued(Event, tag="thread.run_enqueued", frozen=True, kw_only=True):
    """A run waits until the thread is free; `first` puts it before all others that wait."""

    thread_id: str
    run_id: str
    first: bool = False


class RunDequeued(Event, tag="thread.run_dequeued", frozen=True, kw_only=True):
    """A run that waited for the thread ended before its turn."""

    thread_id: str
    run_id: str


class RunTaken(Event, tag="thread.run_started", frozen=True, kw_only=True):
    """The thread is a run's from now on."""

    thread_id: str
    run_id: str


class Freed(Event, tag="thread.freed", frozen=True, kw_only=True):
    """The run that had the thread has ended. A run that left nothing good leaves the thread as it was before it.

    `unusable` says that it could not even start from the thread's state.
    """

    thread_id: str
    run_id: str
    succeeded: bool
    interrupts: Sealed[list[Interrupt]] = None
    interrupted: bool = False
    unusable: bool = False


class Mended(Event, tag="thread.mended", frozen=True, kw_only=True):
    """The thread has a state again that can be used: somebody set one or went back to one."""

    thread_id: str


class ThreadDeleted(Event, tag="thread.deleted", frozen=True, kw_only=True):
    """The thread takes no more runs and is no longer shown."""

    thread_id: str


ThreadEvent = (
    ThreadCreated
    | MetadataChanged
    | RunEnqueued
    | RunDequeued
    | RunTaken
    | Freed
    | Mended
    | ThreadDeleted
    | ThreadErased
)


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel of a checkpoint: its version, and where its bytes lie."""

    version: str
    sha256: str


class CheckpointSaved(Event, tag="thread.checkpoint_saved", frozen=True, kw_only=True):
    """A graph reached a super-step. `sha256` and `channels` name opaque bytes; nothing of ours decodes them.

    `line` is the journal line of the run's attempt that told it; `ns` is empty for the graph itself, else names a
    subgraph.
    """

    thread_id: str
    run_id: str
    line: int
    ns: str
    checkpoint_id: str
    sha256: str
    channels: dict[str, Channel]
    parent_id: str | None = None
    step: int | None = None
    source: str | None = None
    values: Sealed[Any] = None
    stored_values: Sealed[Stored] = None
    attempt: int = 1


class WritesSaved(Event, tag="thread.writes_saved", frozen=True, kw_only=True):
    """A task of a super-step gave results that are not yet part of a checkpoint. `sha256` names opaque bytes."""

    thread_id: str
    run_id: str
    line: int
    ns: str
    checkpoint_id: str
    task_id: str
    sha256: str
    attempt: int = 1


class StateSet(Event, tag="thread.checkpointed", frozen=True, kw_only=True):
    """These are the thread's values from now on. `graph_checkpoint` is where its graph goes on, if it has one."""

    thread_id: str
    checkpoint_id: str
    source: Source
    run_id: str | None = None
    parent_id: str | None = None
    graph_checkpoint: str | None = None
    values: Sealed[dict[str, Any]] = None
    stored_values: Sealed[Stored] = None


StateEvent = CheckpointSaved | WritesSaved | StateSet


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a thread depend on.

    `asked` is what its graph waits to be answered; `unusable` says that the last run that tried could not start from
    the thread's state, and that nothing has mended it since.
    """

    id: str
    deployment_id: str
    running: str | None = None
    queue: tuple[str, ...] = ()
    asked: tuple[Interrupt, ...] | None = None
    unusable: bool = False
    deleted: bool = False
    erased: bool = False

    @property
    def status(self) -> Status:
        """As the API shows it."""
        if self.running:
            return "busy"
        if self.unusable:
            return "error"
        return "interrupted" if self.asked is not None else "idle"


def evolve(thread: Thread | None, event: ThreadEvent) -> Thread:
    """The thread after the event."""
    if isinstance(event, ThreadCreated):
        return Thread(id=event.thread_id, deployment_id=event.deployment_id)
    if thread is None:
        raise ValueError(f"{event.tag()} before thread.created")
    match event:
        case RunEnqueued(run_id=run_id, first=first):
            queue = (run_id, *thread.queue) if first else (*thread.queue, run_id)
            return msgspec.structs.replace(thread, queue=queue)
        case RunDequeued(run_id=run_id):
            return msgspec.structs.replace(thread, queue=_without(thread, run_id))
        case RunTaken(run_id=run_id):
            return msgspec.structs.replace(thread, running=run_id, queue=_without(thread, run_id))
        case Freed(succeeded=succeeded, interrupted=interrupted, interrupts=interrupts):
            asked = thread.asked
            if succeeded:
                asked = tuple(interrupts or ()) if interrupted else None
            unusable = not succeeded and (thread.unusable or event.unusable)
            return msgspec.structs.replace(thread, running=None, asked=asked, unusable=unusable)
        case Mended():
            return msgspec.structs.replace(thread, unusable=False)
        case ThreadDeleted():
            return msgspec.structs.replace(thread, deleted=True)
        case ThreadErased():
            return msgspec.structs.replace(thread, asked=None, unusable=False, erased=True)
        case MetadataChanged():
            return thread


def _without(thread: Thread, run_id: str) -> tuple[str, ...]:
    return tuple(waiting for waiting in thread.queue if waiting != run_id)


def begin(thread: Thread, run_id: str, on_busy: OnBusy) -> list[ThreadEvent]:
    """A run takes a free thread; what happens on a busy one is its caller's choice."""
    not_erased(thread)
    if thread.running is None:
        return [RunTaken(thread_id=thread.id, run_id=run_id)]
    if on_busy == "reject":
        raise Conflict(f"Thread {thread.id} is busy with run {thread.running}", running_run_id=thread.running)
    if len(thread.queue) >= MOST_QUEUED:
        raise Conflict(f"{MOST_QUEUED} runs wait for thread {thread.id} already", running_run_id=thread.running)
    return [RunEnqueued(thread_id=thread.id, run_id=run_id, first=on_busy == "cancel")]


def answer(thread: Thread, has_input: bool, has_resume: bool) -> None:
    """Only what was asked can be answered, and not while something else is said."""
    if not has_resume:
        return
    if has_input:
        raise BadRequest("input and resume: give one of them")
    if thread.running is None and thread.asked is None:
        raise BadRequest(f"resume: thread {thread.id} is {thread.status}, it asks nothing")


def mend(thread: Thread) -> list[ThreadEvent]:
    """The thread's state was set by hand, so that it can be used."""
    return [Mended(thread_id=thread.id)] if thread.unusable else []


def leave(
    thread: Thread,
    run_id: str,
    succeeded: bool,
    interrupts: list[Interrupt] | None = None,
    *,
    unusable: bool = False,
) -> list[ThreadEvent]:
    """A run that ended gives the thread to the next that waits; one that only waited gives up its place."""
    if run_id in thread.queue:
        return [RunDequeued(thread_id=thread.id, run_id=run_id)]
    if thread.running != run_id:
        return []
    freed = Freed(
        thread_id=thread.id,
        run_id=run_id,
        succeeded=succeeded,
        interrupted=interrupts is not None,
        interrupts=interrupts,
        unusable=unusable,
    )
    following = [RunTaken(thread_id=thread.id, run_id=thread.queue[0])] if thread.queue else []
    return [freed, *following]


def delete(thread: Thread) -> list[ThreadEvent]:
    """Only a thread at rest can be deleted."""
    if thread.running:
        raise Conflict(
            f"Thread {thread.id} is busy with run {thread.running}; cancel it first", running_run_id=thread.running
        )
    return [ThreadDeleted(thread_id=thread.id)]


def erase(thread: Thread, why: Why) -> list[ThreadEvent]:
    """Only a thread at rest can be forgotten, and once; also one that was deleted."""
    if thread.running:
        raise Conflict(
            f"Thread {thread.id} is busy with run {thread.running}; cancel it first", running_run_id=thread.running
        )
    return [] if thread.erased else [ThreadErased(thread_id=thread.id, why=why)]


def not_erased(thread: Thread) -> None:
    """Whether anything more can be said in the thread."""
    if thread.erased:
        raise Conflict(f"Thread {thread.id} was erased; begin another one")


def at_rest(thread: Thread) -> None:
    """Whether the thread's state may be edited or copied now."""
    not_erased(thread)
    if thread.running:
        raise Conflict(f"Thread {thread.id} is busy with run {thread.running}", running_run_id=thread.running)


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A super-step of the graph that can be gone on from."""

    ns: str
    checkpoint_id: str
    run_id: str
    sha256: str
    channels: dict[str, Channel]
    parent_id: str | None = None
    writes: tuple[WritesSaved, ...] = ()


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a thread remembers. `head` is where its graph goes on; `said` is the last line told by the last run, in
    its last attempt.

    `states` gives for each state that was ever set the graph's checkpoint behind it, None for one set by hand. `good`
    are the runs that left a state: what others told is history, and nothing starts from it unless somebody asks.
    """

    saved: dict[tuple[str, str], Saved] = {}
    states: dict[str, str | None] = {}
    newest: StateSet | None = None
    good: frozenset[str] = frozenset()
    last_run: str | None = None
    last_attempt: int = 1
    said: int = 0

    @property
    def head(self) -> str | None:
        """The graph's checkpoint that the next run starts from."""
        return self.newest.graph_checkpoint if self.newest else None


def remember(memory: Memory | None, event: StateEvent) -> Memory:
    """The memory after the event."""
    memory = memory or Memory()
    match event:
        case CheckpointSaved():
            saved = Saved(
                ns=event.ns,
                checkpoint_id=event.checkpoint_id,
                run_id=event.run_id,
                sha256=event.sha256,
                channels=event.channels,
                parent_id=event.parent_id,
            )
            return msgspec.structs.replace(
                memory,
                saved={**memory.saved, (event.ns, event.checkpoint_id): saved},
                last_run=event.run_id,
                last_attempt=event.attempt,
                said=event.line,
            )
        case WritesSaved():
            saved_at = memory.saved.get((event.ns, event.checkpoint_id))
            if saved_at is not None:
                # What an attempt of the same run gave before it failed does not count any more.
                others = (one for one in saved_at.writes if one.run_id != event.run_id or one.attempt == event.attempt)
                grown = msgspec.structs.replace(saved_at, writes=(*others, event))
                memory = msgspec.structs.replace(memory, saved={**memory.saved, (event.ns, event.checkpoint_id): grown})
            return msgspec.structs.replace(memory, last_run=event.run_id, last_attempt=event.attempt, said=event.line)
        case StateSet():
            states = {**memory.states, event.checkpoint_id: event.graph_checkpoint}
            good = memory.good | {event.run_id} if event.run_id else memory.good
            return msgspec.structs.replace(memory, states=states, newest=event, good=good)


def state_of(thread_id: str) -> str:
    """The stream of what a thread remembers."""
    return f"{thread_id}:state"
