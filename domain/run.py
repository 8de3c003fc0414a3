"""A run: one isolated execution of a version."""

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from domain.erasure import RunErased, Why
from domain.errors import BadRequest, Conflict
from domain.event import Event, Sealed
from domain.output import Stored

Status = Literal["pending", "running", "succeeded", "failed", "canceled"]
Reason = Literal["error", "timeout", "out_of_memory", "disk_full", "lost", "start_failed", "expired"]


RETRIED: frozenset[Reason] = frozenset({"error", "timeout", "out_of_memory", "lost", "start_failed"})
"""What another attempt may mend. A disk that was filled would be again, and who waited too long is not asked for."""
LONGEST_BACKOFF = 3600.0

Kind = Literal["run", "edit"]
Repeated = Literal["same", "active"]
"""Which version repeats a run: the one that it had, or the one that is live now."""


class Resume(msgspec.Struct, frozen=True):
    """The answer to what a thread's graph asked: one value, or one for each interrupt's id."""

    value: Any = None


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """An edit of a thread's state: new values by the graph's own rules, or going back to a checkpoint, or both."""

    values: dict[str, Any] | None = None
    as_node: str | None = None
    checkpoint_id: str | None = None


class RunRequested(Event, tag="run.created", frozen=True, kw_only=True):
    """Somebody asked for one execution of a deployed version; `rerun_of` names the run that it repeats.

    `schedule_id` names the schedule whose time had come; `in_turn`: it waits until no other such run of it goes on.
    """

    run_id: str
    deployment_id: str
    version_id: str
    version_number: int
    environment: str
    thread_id: str | None = None
    kind: Kind = "run"
    resume: Sealed[Resume] = None
    update: Sealed[Update] = None
    input: Sealed[dict[str, Any]] = None
    stored_input: Sealed[Stored] = None
    rerun_of: str | None = None
    schedule_id: str | None = None
    in_turn: bool = False


class RunClaimed(Event, tag="run.claimed", frozen=True, kw_only=True):
    """One server took the run upon itself, under the epoch of its present life."""

    run_id: str
    server_id: str
    epoch: int


class RunStarted(Event, tag="run.started", frozen=True, kw_only=True):
    """The sandbox is up and has been handed the run."""

    run_id: str
    started_at: datetime


class CancelRequested(Event, tag="run.cancel_requested", frozen=True, kw_only=True):
    """Somebody asked a running run to stop; its supervisor will."""

    run_id: str


class RunInterrupted(Event, tag="run.interrupted", frozen=True, kw_only=True):
    """The graph stopped to ask; the run succeeds with that, and its thread waits for the answer."""

    run_id: str
    interrupts: Sealed[list[Any]] = None


class RunRetried(Event, tag="run.retried", frozen=True, kw_only=True):
    """An attempt failed, and the run waits for another one, in a sandbox of its own and not before a time.

    `attempt` is the number of the next one; `reason` and `error` say how the last one ended.
    """

    run_id: str
    attempt: int
    reason: Reason
    not_before: datetime
    error: Sealed[str] = None


class RunSucceeded(Event, tag="run.completed", frozen=True, kw_only=True):
    """The entrypoint returned."""

    run_id: str
    duration_ms: int
    result: Sealed[Any] = None
    stored_result: Sealed[Stored] = None


class RunFailed(Event, tag="run.failed", frozen=True, kw_only=True):
    """The run ended without a result; `reason` says which way."""

    run_id: str
    reason: Reason
    error: Sealed[str] = None
    stack_trace: Sealed[str] = None
    duration_ms: int | None = None


class RunCanceled(Event, tag="run.canceled", frozen=True, kw_only=True):
    """The run was stopped on request, and nothing of it lives on."""

    run_id: str
    canceled_at: datetime


RunEvent = (
    RunRequested
    | RunClaimed
    | RunStarted
    | CancelRequested
    | RunInterrupted
    | RunRetried
    | RunSucceeded
    | RunFailed
    | RunCanceled
    | RunErased
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a run depend on."""

    id: str
    deployment_id: str
    version_id: str
    version_number: int
    environment: str
    thread_id: str | None = None
    kind: Kind = "run"
    resume: Resume | None = None
    update: Update | None = None
    input: dict[str, Any] | None = None
    stored_input: Stored | None = None
    started_at: datetime | None = None
    status: Status = "pending"
    cancel_requested: bool = False
    server_id: str | None = None
    epoch: int | None = None
    attempt: int = 1
    not_before: datetime | None = None
    turn_of: str | None = None
    erased: bool = False

    @property
    def finished(self) -> bool:
        """Whether a terminal event has been recorded."""
        return self.status not in ("pending", "running")


def evolve(run: Run | None, event: RunEvent) -> Run:
    """The run after the event. Pure and total over every sequence that the decisions below can produce."""
    if isinstance(event, RunRequested):
        return Run(
            id=event.run_id,
            deployment_id=event.deployment_id,
            version_id=event.version_id,
            version_number=event.version_number,
            environment=event.environment,
            thread_id=event.thread_id,
            kind=event.kind,
            resume=event.resume,
            update=event.update,
            input=event.input,
            stored_input=event.stored_input,
            turn_of=event.schedule_id if event.in_turn else None,
        )
    if run is None:
        raise ValueError(f"{event.tag()} before run.created")
    match event:
        case RunClaimed(server_id=server_id, epoch=epoch):
            return msgspec.structs.replace(run, server_id=server_id, epoch=epoch)
        case RunStarted(started_at=started_at):
            return msgspec.structs.replace(run, status="running", started_at=started_at)
        case CancelRequested():
            return msgspec.structs.replace(run, cancel_requested=True)
        case RunInterrupted():
            return run
        case RunRetried(attempt=attempt, not_before=not_before):
            return msgspec.structs.replace(
                run, status="pending", server_id=None, epoch=None, attempt=attempt, not_before=not_before
            )
        case RunSucceeded():
            return msgspec.structs.replace(run, status="succeeded", input=None)
        case RunFailed():
            return msgspec.structs.replace(run, status="failed", input=None)
        case RunCanceled():
            return msgspec.structs.replace(run, status="canceled", input=None)
        case RunErased():
            nothing = dict.fromkeys(("resume", "update", "input", "stored_input"))
            return msgspec.structs.replace(run, erased=True, **nothing)


def repeatable(asked: RunRequested) -> None:
    """Whether a run can be run again: an edit of a thread's state cannot, it has had its effect."""
    if asked.kind != "run":
        raise BadRequest(f"Run {asked.run_id} edits a thread's state; set the state again instead")


def erase(run: Run, why: Why) -> list[RunEvent]:
    """Only what has ended can be forgotten, and once."""
    if not run.finished:
        raise Conflict(f"Run {run.id} is {run.status}; cancel it first, or wait for its end")
    return [] if run.erased else [RunErased(run_id=run.id, why=why)]


def claim(run: Run, server_id: str, epoch: int) -> list[RunEvent]:
    """Only a pending run that nobody holds can be claimed."""
    if run.status != "pending" or run.server_id is not None:
        return []
    return [RunClaimed(run_id=run.id, server_id=server_id, epoch=epoch)]


def start(run: Run, at: datetime) -> list[RunEvent]:
    """A claimed run starts once. One that was canceled meanwhile does not."""
    if run.status != "pending" or run.server_id is None:
        return []
    return [RunStarted(run_id=run.id, started_at=at)]


def cancel(run: Run, at: datetime) -> list[RunEvent]:
    """A pending run is canceled at once; a running one is asked to stop, and only its supervisor ends it."""
    if run.status == "pending":
        return [RunCanceled(run_id=run.id, canceled_at=at)]
    if run.status == "running":
        return [] if run.cancel_requested else [CancelRequested(run_id=run.id)]
    raise BadRequest(f"Cannot cancel run with status: {run.status}")


def succeed(run: Run, duration_ms: int, result: Any, stored_result: Stored | None = None) -> list[RunEvent]:
    """A running run ends once; what comes after its end is dropped."""
    if run.status != "running":
        return []
    return [RunSucceeded(run_id=run.id, duration_ms=duration_ms, result=result, stored_result=stored_result)]


def fail(
    run: Run, reason: Reason, error: str, stack_trace: str | None = None, duration_ms: int | None = None
) -> list[RunEvent]:
    """A pending or running run fails once."""
    if run.finished:
        return []
    return [RunFailed(run_id=run.id, reason=reason, error=error, stack_trace=stack_trace, duration_ms=duration_ms)]


def retry(run: Run, failed: list[RunEvent], attempts: int, backoff: float, at: datetime) -> list[RunEvent]:
    """What becomes of a run that has failed so: another attempt, where it may have one and could end otherwise.

    Each pause is twice the one before, which is `backoff` seconds at first, and at most an hour.
    """
    ends = failed[-1] if failed else None
    if not isinstance(ends, RunFailed) or ends.reason not in RETRIED:
        return failed
    if run.kind != "run" or run.cancel_requested or run.attempt >= attempts:
        return failed
    pause = min(backoff * 2 ** (run.attempt - 1), LONGEST_BACKOFF)
    return [
        RunRetried(
            run_id=run.id,
            attempt=run.attempt + 1,
            reason=ends.reason,
            not_before=at + timedelta(seconds=pause),
            error=ends.error,
        )
    ]


def stopped(run: Run, at: datetime) -> list[RunEvent]:
    """The supervisor has stopped the sandbox of a run that was asked to stop."""
    if run.status != "running" or not run.cancel_requested:
        return []
    return [RunCanceled(run_id=run.id, canceled_at=at)]
