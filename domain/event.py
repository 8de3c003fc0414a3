"""What a fact is, and where it lies."""

from datetime import datetime
from functools import cache
from typing import Annotated, TypeVar, get_type_hints

import msgspec

T = TypeVar("T")

SEALED = "sealed"
Sealed = Annotated[T | None, msgspec.Meta(extra={SEALED: True})]
"""A field that is stored under its subject's data key and reads as None once that key has been deleted."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An immutable fact, in the past tense. Its tag ("noun.verbed") is stored and never changes.

    Fields of type `Sealed[…]` are what a person may want forgotten; all others stay readable for ever.
    """

    @classmethod
    def tag(cls) -> str:
        """The stored name of this kind of fact."""
        tag = cls.__struct_config__.tag
        if not isinstance(tag, str):
            raise TypeError(f"{cls.__name__} has no stored tag")
        return tag


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fact came from, when it was not the writer itself that saw it happen.

    `happened_at` is the source's clock, `line` its own count (the number of a journal line).
    """

    happened_at: datetime | None = None
    line: int | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A fact and its place in the log.

    `position` grows over the whole log (gaps are allowed), `version` counts from 1 within the stream without a gap.
    `at` is the writer's clock, UTC, in milliseconds, never running back within a log; `by` is the actor (`key:<id>`,
    `run:<id>`, `server:<id>`); `cause` and `request_id` say what led to it, `address` from where it came. `erased` says
    that the sealed fields of the event were forgotten on request.
    """

    position: int
    stream: str
    version: int
    at: datetime
    by: str
    event: Event
    cause: str | None = None
    request_id: str | None = None
    address: str | None = None
    mark: Mark = Mark()
    erased: bool = False

    @property
    def happened_at(self) -> datetime:
        """When it happened at its source, as far as that is known; else when it was recorded."""
        return self.mark.happened_at or self.at


@cache
def sealed_fields(kind: type[Event]) -> tuple[str, ...]:
    """The fields of an event that are stored sealed."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        name
        for name in kind.__struct_fields__
        if any(
            isinstance(note, msgspec.Meta) and (note.extra or {}).get(SEALED)
            for note in getattr(hints[name], "__metadata__", ())
        )
    )


def subject(stream: str) -> str:
    """Whose data a stream holds: `run_9` for `run_9`, `run_9:output`, and for what an endpoint is told of that run."""
    owner, _, rest = stream.partition(":")
    if rest.startswith("to:") and (about := rest.rpartition(":")[2]).startswith("run_"):
        return about
    return owner


def output_of(subject_id: str) -> str:
    """The stream of what a run or a build says while it is under way."""
    return f"{subject_id}:output"
