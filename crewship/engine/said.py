"""What a run said, as events: journal lines in, events of the output stream out."""

from typing import Any, get_args

import msgspec

from crewship.blobs import BlobStore
from crewship.commands.values import keep
from crewship.engine import protocol
from domain import output
from domain.event import Mark
from domain.output import Level, OutputEvent
from domain.thread import StateEvent

LEVELS: tuple[Level, ...] = get_args(Level)


class Said(msgspec.Struct, frozen=True):
    """An event, when it happened at its source and in which line of the journal, and about how many bytes it takes."""

    event: OutputEvent | StateEvent
    mark: Mark
    size: int


async def said(line: protocol.Line, size: int, blobs: BlobStore) -> Said | None:
    """The event that a line stands for; None for what is not output. Large values go beside the log."""
    event = await _event(line.message, blobs, large=size > 200 * 1024)
    return Said(event, Mark(happened_at=line.at, line=line.number), size) if event else None


async def _event(message: protocol.Message, blobs: BlobStore, *, large: bool) -> OutputEvent | None:
    match message:
        case protocol.Log(level=level, message=text, stream=stream, truncated=truncated):
            return output.LogWritten(level=_level(level), message=text, stream=stream, truncated=truncated)
        case protocol.AgentStarted(agent=agent, task=task):
            return output.AgentStarted(agent=agent, task=task)
        case protocol.AgentCompleted(agent=agent, task=task, output=value):
            kept, stored = await _kept(blobs, value, large)
            return output.AgentCompleted(agent=agent, task=task, output=kept, stored=stored)
        case protocol.AgentError(agent=agent, error=error):
            return output.AgentFailed(agent=agent, error=error)
        case protocol.ToolCalled(tool=tool, input=value):
            kept, stored = await _kept(blobs, value, large)
            return output.ToolCalled(tool=tool, input=kept, stored=stored)
        case protocol.ToolResult(tool=tool, output=value):
            kept, stored = await _kept(blobs, value, large)
            return output.ToolReturned(tool=tool, output=kept, stored=stored)
        case protocol.ToolError(tool=tool, error=error):
            return output.ToolFailed(tool=tool, error=error)
        case protocol.Token(agent=agent, text=text):
            return output.TokensGenerated(agent=agent, text=text)
    return None


def _level(given: str) -> Level:
    return next((level for level in LEVELS if level == given), "info")


async def _kept(blobs: BlobStore, value: Any, large: bool) -> tuple[Any, output.Stored | None]:
    return await keep(blobs, value) if large else (value, None)
