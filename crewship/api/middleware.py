"""What surrounds every handler: request ids, errors, who is asking, other origins, where the log stands."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from crewship import ids
from crewship.api import reach
from crewship.api.context import CLIENT, POSITION_HEADER, PRINCIPAL, REQUEST_ID, SERVICE, STARTED, address
from crewship.api.limits import DOORKEEPER, Left
from crewship.api.reach import RunReach
from crewship.commands.keys import Principal
from crewship.eventlog import StreamMoved
from domain.errors import BadRequest, Conflict, DomainError, Forbidden, RateLimited, Unauthorized

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "rate_limited": 429,
    "unavailable": 503,
}
CODES = {404: "not_found", 413: "too_large"}
LOOKING = ("GET", "HEAD", "OPTIONS")
REQUEST_ID_HEADER = "X-Request-Id"
RETRY_AFTER_SECONDS = 1
LEFT = web.RequestKey("left", Left)
"""What is left of the key's rate limit."""
SESSION_COOKIE = "crewship_session"
CONSOLE_HEADER = "X-Crewship-Console"
SAFE_METHODS = ("GET", "HEAD")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

logger = structlog.get_logger(__name__)


def answer(value: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def problem(request: web.BaseRequest, status: int, code: str, message: str, **extras: object) -> web.Response:
    """An error as the API shows it."""
    error = {"message": message, "code": code, "request_id": request[REQUEST_ID], **extras}
    return answer({"error": error}, status)


def refusal(request: web.BaseRequest, error: DomainError) -> web.Response:
    """The answer for a refusal."""
    response = problem(request, STATUS[error.code], error.code, error.message, **error.extras)
    if error.code in ("unavailable", "rate_limited"):
        response.headers["Retry-After"] = str(error.extras.get("retry_after", RETRY_AFTER_SECONDS))
    if error.code == "unauthorized":
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give each request an id: the client's, if it sends a plain one. What is logged meanwhile carries it."""
    request[STARTED] = asyncio.get_running_loop().time()
    request[CLIENT] = address(request) or ""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    request[REQUEST_ID] = given if _REQUEST_ID.fullmatch(given) else ids.new("req")
    structlog.contextvars.bind_contextvars(request_id=request[REQUEST_ID])
    return await handler(request)


async def sign(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer carries, streams and files too: the request's id, the log's position, who may read it."""
    response.headers[REQUEST_ID_HEADER] = request.get(REQUEST_ID, "")
    response.headers[POSITION_HEADER] = str(request.app[SERVICE].log.appended)
    response.headers["Server"] = "Crewship"
    if (left := request.get(LEFT)) is not None:
        response.headers.update(left.headers())
    response.headers.update(_cors_headers(request))


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is JSON with a message and a code; what nobody foresaw is logged with the request's id."""
    try:
        return await handler(request)
    except DomainError as error:
        return refusal(request, error)
    except StreamMoved:
        return refusal(request, Conflict("This was changed by somebody else at the same moment; look again and retry"))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = CODES.get(error.status, "bad_request")
        message = "Not found" if error.status == 404 else (error.reason or code)
        response = problem(request, error.status, code, message)
        response.headers.update({name: error.headers[name] for name in ("Allow",) if name in error.headers})
        return response
    except web.RequestPayloadError:
        return refusal(request, BadRequest("The body ended before it was whole"))
    except ConnectionError:
        raise
    except Exception:
        logger.exception("a request failed", method=request.method, path=plain_path(request))
        message = f"Something went wrong on the server; its log tells more under {request[REQUEST_ID]}"
        return problem(request, 500, "internal", message)


def plain_path(request: web.Request) -> str:
    """The path as it may be logged: without a token that is part of it."""
    return "/webhooks/runs/…" if "token" in request.match_info else request.path


@web.middleware
async def keep_past(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A server that shows the past takes no request that would change something, nor one that would leave a file."""
    until = request.app[SERVICE].log.until
    if until is not None and request.method not in LOOKING and not request.path.endswith("/stream-token"):
        raise Forbidden(f"This server shows the past, as of evt_{until:03d}: it can be looked at, not changed")
    return await handler(request)


@web.middleware
async def share(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer the questions that browsers ask before a page of an allowed origin may call us."""
    preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not preflight or not _cors_headers(request):
        return await handler(request)
    allowed = (
        "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Cache-Control, "
        f"{REQUEST_ID_HEADER}, {POSITION_HEADER}"
    )
    headers = {
        "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers": allowed,
        "Access-Control-Max-Age": "3600",
    }
    return web.Response(status=204, headers=headers)


def _cors_headers(request: web.Request) -> dict[str, str]:
    """What lets a page of an allowed origin read this answer; nothing for other origins."""
    origin = request.headers.get("Origin")
    allowed = request.app[SERVICE].settings.cors_origins
    if origin is None or not ("*" in allowed or origin in allowed):
        return {}
    exposed = (
        f"{REQUEST_ID_HEADER}, {POSITION_HEADER}, Content-Disposition, ETag, Retry-After, RateLimit-Limit, "
        "RateLimit-Remaining, RateLimit-Reset, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
    )
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Expose-Headers": exposed}


def _address(request: web.Request) -> str:
    """The address of ours to which the request came."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return str(name[0]) if name else ""


def refuse_where_only_runs_may(request: web.Request) -> None:
    """Raises Forbidden for a request at the address that is there for runs' own keys."""
    if _address(request) == request.app[SERVICE].runs_only:
        raise Forbidden("This address is for the keys of runs alone")


def demand_console(request: web.Request) -> None:
    """Raise Forbidden for what another site may have made a browser send: no other origin can set our header."""
    if request.method not in SAFE_METHODS and CONSOLE_HEADER not in request.headers:
        raise Forbidden(f"A session changes something only with the header {CONSOLE_HEADER}")


async def _principal(request: web.Request) -> Principal:
    """Who presents an API key, or the cookie of a session of the console."""
    token = request.cookies.get(SESSION_COOKIE)
    if token and "Authorization" not in request.headers:
        session = await request.app[SERVICE].keys.signed_in(token)
        demand_console(request)
        return session.principal
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not key.strip() or not key.isascii():
        raise Unauthorized("An API key is required: send it as Authorization: Bearer YOUR_API_KEY")
    return await request.app[DOORKEEPER].authenticate(request, key.strip())


def guarded(handler: Handler, scope: str, of_runs: RunReach = "itself", narrows: bool = False) -> Handler:
    """A handler that only a key with this scope reaches, and keys of runs and bound ones as reach.py says."""

    async def check(request: web.Request) -> web.StreamResponse:
        principal = await _principal(request)
        if principal.run_id is None:
            refuse_where_only_runs_may(request)
        await reach.check(request, principal, scope, of_runs, narrows)
        request[PRINCIPAL] = principal
        _count(request)
        return await handler(request)

    return check


def _count(request: web.Request) -> None:
    left = request.app[DOORKEEPER].admit(request[PRINCIPAL].actor)
    if left is None:
        return
    request[LEFT] = left
    if left.wait:
        raise RateLimited(
            f"This API key may ask {left.limit} times in {left.window:g} s", retry_after=math.ceil(left.wait)
        )
