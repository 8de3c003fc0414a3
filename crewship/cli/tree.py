"""How a run looks in a terminal, line by line. Pure: an event and what came before it → lines."""

import json
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from crewship.cli.stream import StreamEvent
from crewship.cli.terminal import harmless, seconds

WIDEST = 100
INPUT = 60
TRACE_LINES = 6
_LOUD = {"warning": "warning", "warn": "warning", "error": "error", "critical": "error", "fatal": "error"}


class Line(NamedTuple):
    """One line, and how it is coloured where there are colours."""

    text: str
    style: dict[str, Any]


class Tree:
    """Draws one run. With `logs`, log lines and generated text are drawn too; `zone` None is the local one."""

    def __init__(self, *, logs: bool = False, zone: tzinfo | None = None) -> None:
        self.logs = logs
        self.zone = zone
        self.first_log = True

    def lines(self, event: StreamEvent) -> list[Line]:
        """What the event adds to the drawing; often nothing."""
        payload = event.payload
        match event.type:
            case "run.started":
                return [Line(f"▶ Run started: {_short(payload.get('run_id'))}", {"bold": True})]
            case "run.completed":
                took = seconds(payload.get("duration_ms"))
                return [Line("✅ Run completed" + (f" in {took}" if took else ""), {"fg": "green"})]
            case "run.failed":
                return list(_failure(payload))
            case "run.canceled":
                return [Line("⏹ Run canceled", {"fg": "yellow"})]
        drawn = self._log(payload) if event.type == "log" else self._branch(event.type, payload)
        if drawn is None:
            return []
        return [Line(f"├─ [{self._time(event)}] {drawn.text}", drawn.style)]

    def _branch(self, kind: str, payload: dict[str, Any]) -> Line | None:
        gone = "(erased)" if payload.get("erased") else ""
        agent, tool = _short(payload.get("agent")) or gone, _short(payload.get("tool"))
        match kind:
            case "agent.started":
                return Line(f"{agent} agent starting task", {})
            case "agent.completed":
                return Line(f"{agent} agent completed task", {})
            case "agent.error":
                return Line(f"{agent} agent failed: {_short(payload.get('error'))}", {"fg": "red"})
            case "tool.called":
                return Line(f"Tool: {tool}({_arguments(payload.get('input'))})", {"fg": "cyan"})
            case "tool.error":
                return Line(f"Tool {tool} failed: {_short(payload.get('error'))}", {"fg": "red"})
            case "artifact":
                return Line(f"Artifact: {_short(payload.get('name'), 500) or gone}", {"fg": "magenta"})
            case "run.interrupted":
                return Line("Interrupted: the run waits for an answer", {"fg": "yellow"})
            case "run.retried":
                attempt = f"Trying again, attempt {_short(payload.get('attempt'))}"
                return Line(f"{attempt}: {_short(payload.get('reason'))}", {"fg": "yellow"})
            case "token" if self.logs:
                return Line(f"{agent}: {_short(payload.get('text'))}", {"dim": True})
        return None

    def _log(self, payload: dict[str, Any]) -> Line | None:
        """Warnings and worse are always drawn; of the others the runner's own first word alone."""
        level, message = str(payload.get("level", "info")).lower(), payload.get("message")
        first, self.first_log = self.first_log, False
        if level in _LOUD:
            text = f"{_LOUD[level]}: {_short(message, 2000 if self.logs else WIDEST)}"
            return Line(text, {"fg": "red" if _LOUD[level] == "error" else "yellow"})
        if first and isinstance(message, str) and message.startswith("Starting "):
            return Line(_short(message), {})
        return Line(_short(message, 2000), {"dim": True}) if self.logs else None

    def _time(self, event: StreamEvent) -> str:
        moment = event.data.get("timestamp") or event.payload.get("timestamp")
        try:
            return datetime.fromisoformat(str(moment)).astimezone(self.zone).strftime("%H:%M:%S")
        except (ValueError, OverflowError, OSError):
            return "--:--:--"


def _failure(payload: dict[str, Any]) -> Iterator[Line]:
    error = _short(payload.get("error"), 2000) or "no reason given"
    yield Line(f"❌ Run failed: {error}", {"fg": "red"})
    trace = _text(payload.get("stack_trace"))
    for line in [line for line in trace.splitlines() if line.strip()][-TRACE_LINES:]:
        yield Line(f"   {harmless(line)[:300]}", {"dim": True})


def _arguments(value: Any) -> str:
    """A tool's input: a text in quotes, an object as its values, cut where it gets long."""
    value = _whole(value)
    if value is None:
        return ""
    values = list(value.values()) if isinstance(value, dict) else [value]
    text = harmless(", ".join(json.dumps(_whole(item), ensure_ascii=False) for item in values))
    if len(text) <= INPUT:
        return text
    closing = '"' if len(values) == 1 and text.endswith('"') else ""
    return text[: INPUT - 1 - len(closing)].rstrip("\\") + "…" + closing


def _short(value: Any, most: int = WIDEST) -> str:
    """The value as one line."""
    text = harmless(" ".join(_text(value).split()))
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(value: Any) -> str:
    value = _whole(value)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _whole(value: Any) -> Any:
    """A value too large for the stream is there with its beginning only, which is enough to draw."""
    if isinstance(value, dict) and isinstance(value.get("$truncated"), dict):
        return f"{value['$truncated'].get('preview', '')}…"
    return value
