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
    _trim(report)
    try:
        return "".join(report.format()) if report else ""
    except Exception:
        return message_of(error)


def _trim(report: traceback.TracebackException | None) -> None:
    """Without recursion: what retries again and again leaves chains of more errors than there can be calls."""
    seen: set[int] = set()
    waiting = [report]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        kept = [frame for frame in each.stack if not frame.filename.startswith((_OURS, *_MACHINERY))]
        each.stack = traceback.StackSummary.from_list(kept)
        waiting += [each.__cause__, each.__context__, *(getattr(each, "exceptions", None) or ())]
