"""What a fact is, and where it lies."""

from datetime import datetime

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An immutable fact, in the past tense. Its tag ("noun.verbed") is stored and never changes."""

    @classmethod
    def tag(cls) -> str:
        """The stored name of this kind of fact."""
        tag = cls.__struct_config__.tag
        if not isinstance(tag, str):
            raise TypeError(f"{cls.__name__} has no stored tag")
        return tag


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A fact and its place in the log.

    `position` grows over the whole log (gaps are allowed), `version` counts from 1 within the stream without a gap.
    `at` is the writer's clock, UTC, never running back within a log; `by` is the actor (`key:<id>`, `run:<id>`,
    `server:<id>`); `cause` and `request_id` say what led to it.
    """

    position: int
    stream: str
    version: int
    at: datetime
    by: str
    event: Event
    cause: str | None = None
    request_id: str | None = None
