"""The shapes of what is answered about the log itself, and about the views that are made from it."""

from typing import Any, Literal

import msgspec


class LogEntry(msgspec.Struct, kw_only=True):
    """An event of the log: who did what, when, from where. `sealed` names fields of it that are not shown."""

    id: str
    type: str
    stream: str
    version: int
    timestamp: str
    actor: str
    address: str | None
    request_id: str | None
    cause: str | None
    data: dict[str, Any]
    sealed: list[str]


class LogPage(msgspec.Struct):
    """Events in the log's order. `next_after` goes on; at the log's end it stays where it was."""

    events: list[LogEntry]
    next_after: int


class AuditHead(msgspec.Struct):
    """The end of the chain of seals: the position that it reaches, its root, both as one text; the newest position."""

    position: int
    root: str
    head: str
    newest: int


class Rebuild(msgspec.Struct, kw_only=True):
    """How far views are that are made anew: `position` of the views' own."""

    state: Literal["running", "done", "failed"]
    events: int
    position: int
    error: str | None
    started_at: str
    finished_at: str | None


class Views(msgspec.Struct):
    """What reads are answered from: the position that it has reached, and the last rebuild, if there was one."""

    position: int
    rebuild: Rebuild | None
