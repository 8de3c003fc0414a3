"""What of the log a client sees on a stream: Recorded → public event, or nothing."""

from typing import Any, NamedTuple

import msgspec

from domain.event import Event, Recorded
from domain.output import (
    AgentCompleted,
    AgentFailed,
    AgentStarted,
    ArtifactCollected,
    CheckpointReached,
    LogWritten,
    Stored,
    TokensGenerated,
    ToolCalled,
    ToolFailed,
    ToolReturned,
)
from domain.run import RunCanceled, RunFailed, RunInterrupted, RunRequested, RunRetried, RunStarted, RunSucceeded
from domain.version import VersionCreated, VersionFailed, VersionReady
from projections.projection import text

TERMINAL = frozenset({"run.completed", "run.failed", "run.canceled", "version.ready", "version.failed"})
"""Public types after which a stream holds nothing more."""


TYPES = TERMINAL | {
    "run.created",
    "run.started",
    "run.interrupted",
    "run.retried",
    "version.created",
    "agent.started",
    "agent.completed",
    "agent.error",
    "tool.called",
    "tool.result",
    "tool.error",
    "log",
    "artifact",
    "token",
    "checkpoint",
}
"""All public types."""


class PublicEvent(NamedTuple):
    """An event as a stream shows it."""

    position: int
    type: str
    timestamp: str
    payload: dict[str, Any]

    @property
    def id(self) -> str:
        """`evt_` and the position, at least three digits."""
        return event_id(self.position)

    @property
    def terminal(self) -> bool:
        """Whether nothing can come after it."""
        return self.type in TERMINAL

    def body(self) -> dict[str, Any]:
        """Both shapes in one: the payload as an object of its own, and its fields beside it."""
        envelope = {"type": self.type, "timestamp": self.timestamp, "payload": self.payload}
        return {**self.payload, **envelope}


def event_id(position: int) -> str:
    """The public id of a position."""
    return f"evt_{position:03d}"


def publish(recorded: Recorded) -> PublicEvent | None:
    """The event as a client sees it; None for what is internal."""
    shown = _shown(recorded.event, recorded)
    if shown is None:
        return None
    kind, payload = shown
    if recorded.erased:
        payload["erased"] = True
    return PublicEvent(recorded.position, kind, text(recorded.happened_at) or "", payload)


def _shown(event: Event, recorded: Recorded) -> tuple[str, dict[str, Any]] | None:
    match event:
        case RunInterrupted(run_id=run_id, interrupts=interrupts):
            return "run.interrupted", {"run_id": run_id, "interrupts": interrupts}
        case RunRetried(run_id=run_id, attempt=attempt, reason=reason, error=error):
            return "run.retried", {"run_id": run_id, "attempt": attempt, "reason": reason, "error": error}
        case RunRequested() | RunStarted() | RunSucceeded() | RunFailed() | RunCanceled():
            return _run(event)
        case VersionCreated(version_id=version_id, version_number=number):
            return "version.created", {"version_id": version_id, "version_number": number}
        case VersionReady() | VersionFailed():
            return event.tag(), _fields(event)
        case LogWritten():
            logged = {"level": event.level, "message": event.message, "timestamp": text(recorded.happened_at)}
            return "log", {**logged, **({"truncated": True} if event.truncated else {})}
        case ArtifactCollected(name=name, size=size, content_type=content_type):
            return "artifact", {"name": name, "size": size, "content_type": content_type}
        case _:
            return _said(event)


def _run(event: RunRequested | RunStarted | RunSucceeded | RunFailed | RunCanceled) -> tuple[str, dict[str, Any]]:
    match event:
        case RunRequested():
            names = ("run_id", "deployment_id", "version_id", "version_number", "thread_id", "environment")
            payload = {name: getattr(event, name) for name in names}
            payload |= {"rerun_of": event.rerun_of} if event.rerun_of else {}
            return "run.created", {**payload, "input": _value(event.input, event.stored_input)}
        case RunStarted(run_id=run_id, started_at=started_at):
            return "run.started", {"run_id": run_id, "started_at": text(started_at)}
        case RunSucceeded():
            result = _value(event.result, event.stored_result)
            return "run.completed", {"run_id": event.run_id, "duration_ms": event.duration_ms, "result": result}
        case RunFailed():
            return "run.failed", _fields(event)
        case RunCanceled(run_id=run_id, canceled_at=canceled_at):
            return "run.canceled", {"run_id": run_id, "canceled_at": text(canceled_at)}


def _said(event: Event) -> tuple[str, dict[str, Any]] | None:
    match event:
        case AgentStarted(agent=agent, task=task):
            return "agent.started", {"agent": agent, "task": task}
        case AgentCompleted(agent=agent, task=task):
            return "agent.completed", {"agent": agent, "task": task, "output": _value(event.output, event.stored)}
        case AgentFailed(agent=agent, error=error):
            return "agent.error", {"agent": agent, "error": error}
        case ToolCalled(tool=tool):
            return "tool.called", {"tool": tool, "input": _value(event.input, event.stored)}
        case ToolReturned(tool=tool):
            return "tool.result", {"tool": tool, "output": _value(event.output, event.stored)}
        case ToolFailed(tool=tool, error=error):
            return "tool.error", {"tool": tool, "error": error}
        case CheckpointReached(thread_id=thread_id, checkpoint_id=checkpoint_id):
            return "checkpoint", {"thread_id": thread_id, "checkpoint_id": checkpoint_id}
        case TokensGenerated(agent=agent, text=generated):
            return "token", {"agent": agent, "text": generated}
    return None


def _value(value: Any, stored: Stored | None) -> Any:
    return value if stored is None else {"$truncated": msgspec.structs.asdict(stored)}


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}
