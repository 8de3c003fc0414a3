"""What a run or a build says while it is under way. Written by its supervisor alone, to the subject's output stream."""

from typing import Any, Literal

import msgspec

from domain.event import Event, Sealed

Level = Literal["debug", "info", "warning", "error", "critical"]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A value too large for an event: its JSON lies in the blob store under `sha256`; `preview` is how it begins."""

    sha256: str
    size: int
    preview: str


class LogWritten(Event, tag="log.written", frozen=True, kw_only=True):
    """A line was printed or logged. `stream` says where (stdout, stderr, …); `truncated` that its end was cut off."""

    level: Level
    message: Sealed[str] = None
    stream: str = "stdout"
    truncated: bool = False


class AgentStarted(Event, tag="agent.started", frozen=True, kw_only=True):
    """An agent (in LangGraph: a node) began its task."""

    agent: Sealed[str] = None
    task: Sealed[str] = None


class AgentCompleted(Event, tag="agent.completed", frozen=True, kw_only=True):
    """An agent finished its task."""

    agent: Sealed[str] = None
    task: Sealed[str] = None
    output: Sealed[Any] = None
    stored: Sealed[Stored] = None


class AgentFailed(Event, tag="agent.failed", frozen=True, kw_only=True):
    """An agent raised."""

    agent: Sealed[str] = None
    error: Sealed[str] = None


class ToolCalled(Event, tag="tool.called", frozen=True, kw_only=True):
    """A tool was called."""

    tool: str
    input: Sealed[Any] = None
    stored: Sealed[Stored] = None


class ToolReturned(Event, tag="tool.returned", frozen=True, kw_only=True):
    """A tool gave its result."""

    tool: str
    output: Sealed[Any] = None
    stored: Sealed[Stored] = None


class ToolFailed(Event, tag="tool.failed", frozen=True, kw_only=True):
    """A tool raised."""

    tool: str
    error: Sealed[str] = None


class TokensGenerated(Event, tag="token.generated", frozen=True, kw_only=True):
    """A model produced text, joined from what came within a moment."""

    agent: Sealed[str] = None
    text: Sealed[str] = None


class ArtifactCollected(Event, tag="artifact.collected", frozen=True, kw_only=True):
    """A file that a run left behind was stored; its bytes lie in the blob store under `sha256`."""

    run_id: str
    name: Sealed[str] = None
    size: int
    content_type: str
    sha256: str


class CheckpointReached(Event, tag="checkpoint.reached", frozen=True, kw_only=True):
    """The graph of a thread's run finished a super-step, from which it can be gone on."""

    thread_id: str
    checkpoint_id: str


class OutputAdopted(Event, tag="output.adopted", frozen=True, kw_only=True):
    """Another life of a server took over the writing of this stream; a former writer's next append conflicts."""

    server_id: str
    epoch: int


OutputEvent = (
    LogWritten
    | AgentStarted
    | AgentCompleted
    | AgentFailed
    | ToolCalled
    | ToolReturned
    | ToolFailed
    | TokensGenerated
    | ArtifactCollected
    | CheckpointReached
    | OutputAdopted
)
