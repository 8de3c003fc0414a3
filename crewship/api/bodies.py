"""Request bodies and queries, decoded and checked in one step.

Unknown fields are ignored; a wrong type is refused with the path of its field.
"""

import asyncio
import re
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
from aiohttp import web

from crewship.nesting import DEEPEST, too_deep
from domain.access import Scope
from domain.column import WantedColumn
from domain.deployment import ENVIRONMENTS, Environment
from domain.errors import BadRequest, TooLarge
from domain.run import Repeated
from domain.schedule import Overlap
from domain.thread import OnBusy
from domain.webhook import Notice

T = TypeVar("T")
Direction = Literal["incoming", "outgoing"]

BODY_SECONDS = 60.0
LARGEST_INPUT = 4 * 1024 * 1024
LARGEST_BODY = LARGEST_INPUT + 64 * 1024
DEFAULT_LIMIT = 20
MOST_LIMIT = 100
MOST_OFFSET = 1_000_000_000

_MISSING = re.compile(r"Object missing required field `([^`]*)`(?: - at `\$\.?(.*)`)?")
_AT = re.compile(r"^(.*) - at `\$\.?(.*)`$", re.DOTALL)


class CreateDeployment(msgspec.Struct, frozen=True):
    """POST /v1/deployments"""

    name: str


class RollBack(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/deployments/{id}/rollback"""

    version_id: str | None = None
    environment: Environment = "production"


class Promote(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from", "target": "to"}):
    """POST /v1/deployments/{id}/promote"""

    source: Environment = "staging"
    target: Environment = "production"


class SetVariables(msgspec.Struct, frozen=True):
    """PUT /v1/deployments/{id}/env"""

    variables: dict[str, str]


class CreateRun(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/runs"""

    deployment_id: str | None = None
    input: dict[str, Any] | None = None
    environment: Environment = "production"


class RerunRun(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/runs/{id}/rerun"""

    version: Repeated = "same"
    input: dict[str, Any] | None = None


class CreateThread(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/threads"""

    deployment_id: str | None = None
    metadata: dict[str, Any] | None = None
    values: dict[str, Any] | None = None


class PatchThread(msgspec.Struct, frozen=True):
    """PATCH /v1/threads/{id}"""

    metadata: dict[str, Any]


class CopyThread(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/threads/{id}/copy"""

    checkpoint_id: str | None = None
    metadata: dict[str, Any] | None = None


class RunThread(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/threads/{id}/runs"""

    input: dict[str, Any] | None = None
    resume: Any = msgspec.UNSET
    environment: Environment = "production"
    on_busy: OnBusy = "reject"


class EditState(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/threads/{id}/state"""

    values: dict[str, Any] | None = None
    checkpoint_id: str | None = None
    as_node: str | None = None
    environment: Environment = "production"


class CreateTable(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/tables"""

    name: str
    columns: list[WantedColumn]
    description: str | None = None
    deployment_id: str | None = None


class PatchTable(msgspec.Struct, frozen=True, kw_only=True):
    """PATCH /v1/tables/{table}"""

    name: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    columns: list[WantedColumn] | msgspec.UnsetType = msgspec.UNSET


class CreateKey(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/api-keys"""

    name: str
    scopes: list[Scope]
    expires_at: datetime | None = None
    deployment_ids: list[str] = []


class CreateWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/deployments/{id}/webhooks"""

    direction: Direction
    name: str
    environment: Environment = "production"
    url: str | None = None
    events: list[Notice] | None = None


class ChangeWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """PATCH /v1/deployments/{id}/webhooks/{webhook_id}: what is not given stays."""

    name: str | None = None
    environment: Environment | None = None
    url: str | None = None
    events: list[Notice] | None = None


class CreateSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/deployments/{id}/schedules"""

    cron: str
    name: str | None = None
    timezone: str = "UTC"
    environment: Environment = "production"
    input: dict[str, Any] | None = None
    overlap: Overlap = "skip"
    catch_up_seconds: int = 3600


class ChangeSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """PATCH /v1/deployments/{id}/schedules/{schedule_id}: what is not given stays."""

    cron: str | None = None
    name: str | None = None
    timezone: str | None = None
    environment: Environment | None = None
    input: dict[str, Any] | None = None
    overlap: Overlap | None = None
    catch_up_seconds: int | None = None


class SetRetention(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /v1/retention and /v1/deployments/{id}/retention: one of them, or both."""

    older_than_seconds: int | None = None
    keep: int | None = None


class SignIn(msgspec.Struct, frozen=True):
    """POST /v1/session"""

    api_key: str = ""


async def body(request: web.Request, kind: type[T]) -> T:
    """The request's JSON as `kind`; an empty body is an empty object."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            data = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(f"The body is larger than {LARGEST_BODY // 1024} KiB") from None
    except TimeoutError:
        raise BadRequest(f"The body did not arrive within {BODY_SECONDS:g} s") from None
    try:
        decoded = msgspec.json.decode(data or b"{}", type=kind)
        if too_deep(data):
            raise BadRequest(f"The body is nested deeper than {DEEPEST} lists and objects")
        return decoded
    except msgspec.ValidationError as error:
        raise BadRequest(_readable(str(error))) from None
    except UnicodeDecodeError:
        raise BadRequest("The body is not JSON: it is not UTF-8") from None
    except RecursionError:
        raise BadRequest(f"The body is nested deeper than {DEEPEST} lists and objects") from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}") from None


def check_size(name: str, value: object) -> None:
    """Raises TooLarge for a value whose JSON is over 4 MiB."""
    if value is not None and len(msgspec.json.encode(value)) > LARGEST_INPUT:
        raise TooLarge(f"{name} is larger than {LARGEST_INPUT // 1024 // 1024} MiB")


def _readable(message: str) -> str:
    if missing := _MISSING.fullmatch(message):
        field, path = missing.groups()
        return f"{path + '.' if path else ''}{field} is required"
    if placed := _AT.fullmatch(message):
        what, path = placed.groups()
        return f"{path}: {what[:1].lower()}{what[1:]}" if path else what
    return message


def environment(request: web.Request) -> Environment:
    """The query's environment; production without one."""
    given = request.query.get("environment", ENVIRONMENTS[0])
    for known in ENVIRONMENTS:
        if given == known:
            return known
    raise BadRequest(f"environment: expected one of {', '.join(ENVIRONMENTS)}")


def paging(request: web.Request) -> dict[str, int]:
    """The query's `limit` (default 20, at most 100) and `offset`."""
    return {
        "limit": number(request, "limit", DEFAULT_LIMIT, 1, MOST_LIMIT),
        "offset": number(request, "offset", 0, 0, MOST_OFFSET),
    }


def flag(request: web.Request, name: str, default: bool) -> bool:
    """A yes or no of the query."""
    given = request.query.get(name)
    if given is None:
        return default
    if given.lower() not in ("true", "false", "1", "0"):
        raise BadRequest(f"{name}: expected true or false")
    return given.lower() in ("true", "1")


def number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query, between bounds."""
    given = request.query.get(name)
    if given is None:
        return default
    if not re.fullmatch(r"[0-9]{1,12}", given) or not least <= int(given) <= most:
        raise BadRequest(f"{name}: expected a whole number from {least} to {most}")
    return int(given)
