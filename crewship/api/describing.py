"""The words in which descriptions.py says of each handler what it takes and gives, for /openapi.json and /docs.

In the ideal case one line: `runs.create: gives(shapes.RunAccepted, takes=CreateRun, status=202)`. The rest is read off
the route: its summary from its handler's docstring (`METHOD path: what it does.`), its parameters from its path, its
security from its scope. A route that is not described, or whose docstring says nothing, fails a test.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from crewship.api.bodies import DEFAULT_LIMIT, MOST_LIMIT, MOST_OFFSET
from domain.deployment import ENVIRONMENTS

EVENT_STREAM = "text/event-stream"
GZIP = "application/gzip"
BYTES = "application/octet-stream"
PLAIN = "text/plain"
HTML = "text/html"


class Query(NamedTuple):
    """A parameter of the query: its name, what it means, its JSON schema."""

    name: str
    about: str
    schema: dict[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a route takes and gives.

    `gives` is a struct (see shapes.py), a media type for what is no JSON, or None for an empty answer. `takes` is the
    struct that decodes the body, or a media type. `also` are further good answers by status. `creates`: it honours
    Idempotency-Key. `open` says why nobody needs a key; without it a route that checks by itself still wants one, or
    with `optional` not of everybody. `signs_in`: the key is in the body. `may_lack`: there
    may be no such thing, though the path names none.
    """

    gives: Any = None
    takes: Any = None
    status: int = 200
    query: tuple[Query, ...] = ()
    also: tuple[tuple[int, Any], ...] = ()
    creates: bool = False
    open: str = ""
    optional: bool = False
    signs_in: bool = False
    may_lack: bool = False


def gives(shape: Any, /, **more: Any) -> About:
    """A route that answers with that."""
    return About(gives=shape, **more)


def empties(**more: Any) -> About:
    """A route whose good answer is a 204."""
    return About(status=204, **more)


def text(name: str, about: str, *, required: bool = False) -> Query:
    """A text of the query."""
    return Query(name, about, {"type": "string"}, required)


def choice(name: str, about: str, *values: str) -> Query:
    """One of some words."""
    return Query(name, about, {"type": "string", "enum": list(values)})


def whole(name: str, about: str, default: int, least: int, most: int) -> Query:
    """A whole number."""
    return Query(name, about, {"type": "integer", "default": default, "minimum": least, "maximum": most})


def flag(name: str, about: str, default: Literal["true", "false"] = "false") -> Query:
    """Yes or no."""
    return Query(name, about, {"type": "string", "enum": ["true", "false", "1", "0"], "default": default})


PAGE = (
    whole("limit", "How many at most.", DEFAULT_LIMIT, 1, MOST_LIMIT),
    whole("offset", "How many of the newest to leave out.", 0, 0, MOST_OFFSET),
)
ENVIRONMENT = choice("environment", "The environment that is meant.", *ENVIRONMENTS)
STREAM = (
    text("last_event_id", "Go on right behind that event; as the header Last-Event-ID."),
    text("types", "Only these types of event, with commas between."),
    flag("named", "false leaves the line `event:` out, for EventSource.onmessage.", "true"),
)
