"""What a thread keeps, as the child reports it: checked field by field, since none of it may be lost on the way."""

from __future__ import annotations

import base64
from typing import Any

KINDS = frozenset({"checkpoint", "writes", "interrupted", "values"})


def checked(kind: str, report: dict[str, Any]) -> dict[str, Any]:
    """Exactly the fields that this type has. Raises ValueError, KeyError, TypeError or AttributeError."""
    if kind == "interrupted":
        asked = [{"id": _text(each["id"]), "value": each.get("value")} for each in report["interrupts"]]
        return {"interrupts": asked}
    if kind == "values":
        return {"values": {**report["values"]}}
    place = {"ns": _text(report["ns"]), "checkpoint_id": _text(report["checkpoint_id"])}
    if kind == "writes":
        writes = [[_text(channel), _base64(data)] for channel, data in report["writes"]]
        return {**place, "task_id": _text(report["task_id"]), "task_path": _text(report["task_path"]), "writes": writes}
    channels = {
        name: {"version": _text(channel["version"]), "data": _base64(channel["data"])}
        for name, channel in report["channels"].items()
    }
    parent, step, source = report.get("parent_id"), report.get("step"), report.get("source")
    return {
        **place,
        "parent_id": None if parent is None else _text(parent),
        "step": step if isinstance(step, int) and not isinstance(step, bool) else None,
        "source": source if isinstance(source, str) else None,
        "data": _base64(report["data"]),
        "channels": channels,
        "versions": {name: _text(version) for name, version in report["versions"].items()},
        "values": report.get("values"),
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _base64(value: Any) -> str:
    base64.b64decode(_text(value), validate=True)
    return str(value)
