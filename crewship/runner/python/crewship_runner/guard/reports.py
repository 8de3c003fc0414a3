"""What the child may report over its pipe, checked before it reaches the journal.

The child runs the project's code, so nothing here is trusted: it can be garbage, too large, too deep.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from . import states

RESULT_LIMIT = 32 * 1024 * 1024  # bytes of JSON, also of what a thread keeps
REPORT_LIMIT = 4 * 1024 * 1024  # bytes of JSON of every other report
OVERHEAD = 64  # bytes that a result's line has around its output
CONTAINERS = 1_000_000  # lists and objects in one report: what parsing 32 MiB of brackets would cost is too much

TOO_LARGE = "output is larger than 32 MiB"
STATE_TOO_LARGE = "the thread's state is too large: one report of it has more than 32 MiB"

_WHOLE = re.compile(rb'\{"type": ?"(result|%b)"' % "|".join(sorted(states.KINDS)).encode())

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
    "warm": (),
    "error": ("error",),
}
_VALUES = {"agent.completed": "output", "tool.called": "input", "tool.result": "output", "result": "output"}
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})


class Refused(Exception):
    """This is no report; the message says why. `fatal` when the run's result, or what its thread keeps, is lost."""

    def __init__(self, why: str, fatal: bool = False) -> None:
        super().__init__(why)
        self.fatal = fatal


def read(line: bytes, cut: bool) -> dict[str, Any]:
    """The report in a line: `type` and exactly the fields that this type has. Raises Refused.

    `cut` says that the line was longer than any report may be and that this is only its beginning.
    """
    whole = _WHOLE.match(line)
    fatal = whole is not None
    if cut or len(line) > (RESULT_LIMIT + OVERHEAD if fatal else REPORT_LIMIT):
        large = f"A report of more than {REPORT_LIMIT >> 20} MiB was dropped"
        raise Refused(large if whole is None else TOO_LARGE if whole[1] == b"result" else STATE_TOO_LARGE, fatal)
    if line.count(b"[") + line.count(b"{") > CONTAINERS:
        raise Refused("A report with too many lists and objects was dropped", fatal)
    try:
        report = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused(f"The runner said what is no report: {_beginning(line)}", fatal) from error
    if not isinstance(report, dict):
        raise Refused(f"The runner said what is no report: {_beginning(line)}")
    return _checked(report, line)


def _checked(report: dict[str, Any], line: bytes) -> dict[str, Any]:
    kind = report.get("type")
    if isinstance(kind, str) and kind in states.KINDS:
        try:
            return {"type": kind, **states.checked(kind, report)}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(f"The runner said what is no report: {_beginning(line)}", fatal=True) from error
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
        checked |= {"unusable": True} if report.get("unusable") is True else {}
    if kind == "log":
        checked["level"] = checked["level"] if checked["level"] in _LEVELS else "info"
        checked["stream"] = report["stream"] if report.get("stream") in ("stdout", "stderr", "logging") else "runner"
        checked["truncated"] = report.get("truncated") is True
    return checked


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _beginning(line: bytes) -> str:
    return line[:200].decode("utf-8", "replace")
