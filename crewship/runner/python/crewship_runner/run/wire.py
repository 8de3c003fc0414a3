"""A thread's state on its way through the server: bytes that only this runner reads, as text."""

from __future__ import annotations

import base64
import json

Typed = tuple[str, bytes]  # what LangGraph's serializers make of a value

EMPTY: Typed = ("empty", b"")  # a channel that has a version and holds nothing, as LangGraph's own savers write it


def pack(*parts: Typed) -> str:
    """Several dumps as one text: base64 of a line of JSON with their types and sizes, then their bytes."""
    head = json.dumps([[kind, len(data)] for kind, data in parts], separators=(",", ":")).encode()
    return base64.b64encode(b"".join([head, b"\n", *(data for _, data in parts)])).decode()


def unpack(text: str) -> list[Typed]:
    """What was packed. Raises ValueError or TypeError for anything else."""
    head, _, rest = base64.b64decode(text, validate=True).partition(b"\n")
    parts, at = [], 0
    for kind, size in json.loads(head):
        parts.append((str(kind), rest[at : at + size]))
        at += size
    if at != len(rest):
        raise ValueError("the sizes do not fit")
    return parts
