"""What a runner's journal says: one line of JSON after another, read without any I/O.

The lines are written by the guard (crewship/runner/python/crewship_runner/guard/journal.py). A project can influence
what stands in them, so that whatever cannot be read is a warning in the run's log and never an exception.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from crewship.nesting import too_deep

GARBAGE_SHOWN = 1000  # bytes of a line that is no protocol which its warning shows


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The guard is there and has understood its spec; the project's code starts now."""


class Warm(msgspec.Struct, frozen=True, tag="warm"):
    """Framework and entrypoint are imported; the sandbox waits for its run. `ready` follows once it has one."""


class Log(msgspec.Struct, frozen=True, tag="log"):
    """A line that the run printed or logged, or that the runner says about it. Level: debug to critical."""

    level: str
    message: str
    stream: str = "runner"
    truncated: bool = False


class AgentStarted(msgspec.Struct, frozen=True, tag="agent.started"):
    """An agent (in LangGraph: a node) takes up its task."""

    agent: str
    task: str


class AgentCompleted(msgspec.Struct, frozen=True, tag="agent.completed"):
    """An agent is done."""

    agent: str
    task: str
    output: Any = None


class AgentError(msgspec.Struct, frozen=True, tag="agent.error"):
    """An agent raised."""

    agent: str
    error: str


class ToolCalled(msgspec.Struct, frozen=True, tag="tool.called"):
    """A tool is used, with its input by name or as text."""

    tool: str
    input: Any = None


class ToolResult(msgspec.Struct, frozen=True, tag="tool.result"):
    """A tool answered."""

    tool: str
    output: Any = None


class ToolError(msgspec.Struct, frozen=True, tag="tool.error"):
    """A tool raised."""

    tool: str
    error: str


class Token(msgspec.Struct, frozen=True, tag="token"):
    """A piece of a model's output; `agent` is empty outside of all agents."""

    agent: str
    text: str


class Channel(msgspec.Struct, frozen=True):
    """A channel of a checkpoint: its version and its bytes, which only the runner understands."""

    version: str
    data: bytes


class Checkpoint(msgspec.Struct, frozen=True, tag="checkpoint"):
    """A thread's graph finished a super-step. `channels` holds those that are new, `versions` names all.

    `values` is the state as JSON, for the graph itself alone (`ns` empty).
    """

    ns: str
    checkpoint_id: str
    data: bytes
    parent_id: str | None = None
    step: int | None = None
    source: str | None = None
    channels: dict[str, Channel] = {}
    versions: dict[str, str] = {}
    values: Any = None


class Writes(msgspec.Struct, frozen=True, tag="writes"):
    """A task of the super-step behind a checkpoint gave results: pairs of a channel and base64 that is opaque here."""

    ns: str
    checkpoint_id: str
    task_id: str
    task_path: str = ""
    writes: list[tuple[str, str]] = []


class Interrupt(msgspec.Struct, frozen=True):
    """A question of the graph."""

    id: str
    value: Any = None


class Interrupted(msgspec.Struct, frozen=True, tag="interrupted"):
    """The graph stopped to ask; a result follows, and the run ends well."""

    interrupts: list[Interrupt]


class Values(msgspec.Struct, frozen=True, tag="values"):
    """What a thread without a graph knows from now on; a result follows, and the run ends well."""

    values: dict[str, Any]


class Result(msgspec.Struct, frozen=True, tag="result"):
    """The run's output. It counts only if the exit that follows is a good one."""

    output: Any = None


class Failure(msgspec.Struct, frozen=True, tag="error"):
    """The project's code failed, or could not even start from its thread's state, which is then `unusable` to it."""

    error: str
    stack_trace: str | None = None
    unusable: bool = False


class Exit(msgspec.Struct, frozen=True, tag="exit"):
    """The last line: nothing of the run lives any more.

    Exactly one of `code` and `signal` is set when the child ran. `reason` is why the guard ended it, or why it never
    began: timeout, out_of_memory, disk_full, stopped, start_failed.
    """

    code: int | None = None
    signal: int | None = None
    reason: str | None = None
    message: str | None = None
    lost_logs: int = 0


Message = (
    Ready
    | Warm
    | Log
    | AgentStarted
    | AgentCompleted
    | AgentError
    | ToolCalled
    | ToolResult
    | ToolError
    | Token
    | Checkpoint
    | Writes
    | Interrupted
    | Values
    | Result
    | Failure
    | Exit
)


class Line(msgspec.Struct, frozen=True):
    """One line of the journal: its number (1, 2, 3 …; 0 for what has none), when it was written (UTC), what it says."""

    number: int
    at: datetime
    message: Message


class _Place(msgspec.Struct):
    n: int
    at: datetime


_place = msgspec.json.Decoder(_Place)
_message: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)

_NO_TIME = datetime.fromtimestamp(0, UTC)


def parse(line: bytes) -> Line:
    """What a line says. What is no protocol becomes a warning that shows its beginning; nothing raises.

    A warning keeps the line's number and time where they can be read; else they are 0 and 1970.
    """
    number, at = 0, _NO_TIME
    try:
        place = _place.decode(line)
        if place.n > 0 and place.at.tzinfo is not None:
            number, at = place.n, place.at.astimezone(UTC)
            if too_deep(line):
                return Line(number, at, _garbage(line))
            return Line(number, at, _message.decode(line))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        pass
    return Line(number, at, _garbage(line))


def _garbage(line: bytes) -> Log:
    shown = line[:GARBAGE_SHOWN].decode("utf-8", "replace").rstrip("\r\n").replace("\0", "\ufffd")
    return Log("warning", f"The journal holds what is no protocol: {shown}", truncated=len(line) > GARBAGE_SHOWN)
