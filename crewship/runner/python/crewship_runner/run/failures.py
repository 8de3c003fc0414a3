"""An exception as the project's author wants to read it: what it says, and a trace without our own frames."""

from __future__ import annotations

import importlib
import os
import traceback

_MACHINERY = ("<frozen importlib", importlib.__file__)
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep


def message_of(error: BaseException) -> str:
    """`TypeName: message`."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def trace_of(error: BaseException) -> str:
    """The stack trace as Python prints it; frames of the runner and of the import machinery are left out."""
    report: traceback.TracebackException | None = traceback.TracebackException.from_exception(error)
    _trim(report, set())
    try:
        return "".join(report.format()) if report else ""
    except Exception:
        return message_of(error)


def _trim(report: traceback.TracebackException | None, seen: set[int]) -> None:
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    kept = [frame for frame in report.stack if not frame.filename.startswith((_OURS, *_MACHINERY))]
    report.stack = traceback.StackSummary.from_list(kept)
    for inner in (report.__cause__, report.__context__, *(getattr(report, "exceptions", None) or ())):
        _trim(inner, seen)
