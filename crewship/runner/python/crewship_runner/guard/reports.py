"""What the child may report over its pipe, checked before it reaches the journal.

The child runs the project's code, so nothing here is trusted: it can be garbage, too large, too deep.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

RESULT_LIMIT = 32 * 1024 * 1024  # bytes of JSON
REPORT_LIMIT = 4 * 1024 * 1024  # bytes of JSON of every other report
OVERHEAD = 64  # bytes that a result's line has around its output
CONTAINERS = 1_000_000  # lists and objects in one report: what parsing 32 MiB of brackets would cost is too much

TOO_LARGE = "output is larger than 32 MiB"

_TEXT: dict[str, tuple[str, ...]] = {
    "log": ("level", "message"),
    "agent.started": ("agent", "task"),
    "agent.completed": ("agent", "task"),
    "agent.error": ("agent", "error"),
    "tool.called": ("tool",),
    "tool.result": ("tool",),
    "tool.error": ("tool", "error"),
    "token": ("agent", "text"),
    "result": (),
    "error": ("error",),
}
_VALUES = {"agent.completed": "output", "tool.called": "input", "tool.result": "output", "result": "output"}
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})


class Refused(Exception):
    """This is no report; the message says why. `was_result` when the run's result is lost with it."""

    def __init__(self, why: str, was_result: bool = False) -> None:
        super().__init__(why)
        self.was_result = was_result


def read(line: bytes, cut: bool) -> dict[str, Any]:
    """The report in a line: `type` and exactly the fields that this type has. Raises Refused.

    `cut` says that the line was longer than any report may be and that this is only its beginning.
    """
    result = line.startswith((b'{"type":"result"', b'{"type": "result"'))
    if cut or len(line) > (RESULT_LIMIT + OVERHEAD if result else REPORT_LIMIT):
        raise Refused(TOO_LARGE if result else f"A report of more than {REPORT_LIMIT >> 20} MiB was dropped", result)
    if line.count(b"[") + line.count(b"{") > CONTAINERS:
        raise Refused("A report with too many lists and objects was dropped", result)
    try:
        report = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused(f"The runner said what is no report: {_beginning(line)}", result) from error
    if not isinstance(report, dict):
        raise Refused(f"The runner said what is no report: {_beginning(line)}")
    return _checked(report, line)


def _checked(report: dict[str, Any], line: bytes) -> dict[str, Any]:
    kind = report.get("type")
    names = _TEXT.get(kind) if isinstance(kind, str) else None
    if names is None or not all(isinstance(report.get(name), str) for name in names):
        raise Refused(f"The runner said what is no report: {_beginning(line)}", kind == "result")
    checked = {"type": kind, **{name: report[name] for name in names}}
    value = _VALUES.get(str(kind))
    if value:
        checked[value] = report.get(value)
    if kind == "error":
        trace = report.get("stack_trace")
        checked["stack_trace"] = trace if isinstance(trace, str) else None
    if kind == "log":
        checked["level"] = checked["level"] if checked["level"] in _LEVELS else "info"
        checked["stream"] = report["stream"] if report.get("stream") in ("stdout", "stderr", "logging") else "runner"
        checked["truncated"] = report.get("truncated") is True
    return checked


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _beginning(line: bytes) -> str:
    return line[:200].decode("utf-8", "replace")
