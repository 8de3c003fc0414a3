"""Event streams: what was recorded before the connection and what comes after, as one sequence, fed from the log."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import msgspec
from aiohttp import web

from crewship import clock
from crewship.api.bodies import flag
from crewship.api.context import SERVICE, Service
from crewship.api.erasures import destroyed
from crewship.api.middleware import answer, guarded
from crewship.commands import deployments, runs
from crewship.eventlog import Follower
from domain.errors import BadRequest, Unauthorized, Unavailable
from domain.event import Recorded, output_of, subject
from projections import runs as runs_view
from projections.feed import TYPES, PublicEvent, publish

KEEP_ALIVE_SECONDS = 15.0
STALLED_SECONDS = 300.0
EVENTS_AT_ONCE = 128
BYTES_AT_ONCE = 256 * 1024
FRAMES_KEPT_BYTES = 32 * 1024 * 1024
LARGEST_FRAME_KEPT = 64 * 1024
TOKEN_LIFE = timedelta(hours=24)
TOKEN_AFTER_END = timedelta(hours=1)

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}

_ID = re.compile(r"evt_([0-9]{3,18})")


def frame(event: PublicEvent, named: bool) -> bytes:
    """The event as bytes on the wire."""
    line = b"event: %s\n" % event.type.encode() if named else b""
    return b"%sdata: %s\nid: %s\n\n" % (line, msgspec.json.encode(event.body()), event.id.encode())


class Frames:
    """Frames of the moment, made once for all who read the same moment."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[int, bool], tuple[PublicEvent, bytes]] = OrderedDict()
        self._bytes = 0

    def of(self, recorded: Recorded, named: bool) -> tuple[PublicEvent, bytes] | None:
        """The public event and its frame; None for what is internal."""
        key = (recorded.position, named)
        if (known := self._made.get(key)) is not None:
            return known
        event = publish(recorded)
        if event is None:
            return None
        made = (event, frame(event, named))
        if len(made[1]) <= LARGEST_FRAME_KEPT:
            self._made[key] = made
            self._bytes += len(made[1])
            while self._bytes > FRAMES_KEPT_BYTES:
                _, (_, dropped) = self._made.popitem(last=False)
                self._bytes -= len(dropped)
        return made

    def clear(self) -> None:
        """Hold nothing: what was shown may have been erased."""
        self._made.clear()
        self._bytes = 0


FRAMES = web.AppKey("frames", Frames)


async def run_events(request: web.Request) -> web.StreamResponse:
    """GET /v1/runs/{run_id}/events: what it does, from its first event on and live, as server-sent events.

    Needs a key with the scope `read`, or an `access_token` for this stream. 204 where nothing more can come.
    """
    if token := request.query.get("access_token"):
        await _check_token(request, token)
        return await _run_events(request)
    return await guarded(_run_events, "read")(request)


async def _run_events(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    run, _ = await runs.get(service.log, request.match_info["run_id"])
    if run.erased and not await destroyed(service, (run.id,)):
        raise Unavailable(f"Run {run.id} is being erased; ask again in a moment")
    return await _stream(request, run.id, finished=run.finished)


async def version_events(request: web.Request) -> web.StreamResponse:
    """GET /v1/versions/{version_id}/events: its build, as server-sent events; 204 where nothing more can come."""
    version, _ = await deployments.version(request.app[SERVICE].log, request.match_info["version_id"])
    return await _stream(request, version.id, finished=version.status != "building")


async def stream_token(request: web.Request) -> web.Response:
    """POST /v1/runs/{run_id}/stream-token: opens that run's stream in a browser, where no header can be set."""
    run, _ = await runs.get(request.app[SERVICE].log, request.match_info["run_id"])
    expires_at = clock.now() + TOKEN_LIFE
    text = f"{run.id}.{int(expires_at.timestamp())}"
    token = f"{text}.{request.app[SERVICE].keys.sign(text)}"
    return answer({"token": token, "run_id": run.id, "expires_at": clock.iso(expires_at)}, 201)


async def _check_token(request: web.Request, token: str) -> None:
    service = request.app[SERVICE]
    text, _, proof = token.rpartition(".")
    run_id, _, expires = text.partition(".")
    if not service.keys.verify(text, proof) or run_id != request.match_info["run_id"]:
        raise Unauthorized("Invalid access_token for this stream")
    now = clock.now()
    row = await service.views.row(runs_view.GET, id=run_id)
    ended = datetime.fromisoformat(row["completed_at"]) if row and row["completed_at"] else None
    if int(expires) < now.timestamp() or (ended is not None and ended + TOKEN_AFTER_END < now):
        raise Unauthorized("This access_token has expired; ask for a new one")


async def _stream(request: web.Request, subject_id: str, *, finished: bool) -> web.StreamResponse:
    service = request.app[SERVICE]
    types = frozenset(filter(None, request.query.get("types", "").split(","))) or None
    if types and (unknown := types - TYPES):
        raise BadRequest(f"types: there is no {sorted(unknown)[0][:40]!r}; there are {', '.join(sorted(TYPES))}")
    named = flag(request, "named", True)
    after = await _resume_point(service, request, subject_id)
    streams = (subject_id, output_of(subject_id))
    if (finished or service.log.until is not None) and not await _anything_left(service, after, streams, types):
        return web.Response(status=204)

    async def feed(response: web.StreamResponse) -> None:
        with service.log.follower(after, streams) as follower:
            await _feed(response, follower, request.app[FRAMES], types, named)

    return await streamed(request, feed)


async def streamed(request: web.Request, feed: Callable[[web.StreamResponse], Awaitable[None]]) -> web.StreamResponse:
    """Server-sent events that `feed` writes, until it returns, the reader goes, or the server shuts down."""
    service = request.app[SERVICE]
    task = asyncio.current_task()
    assert task is not None
    service.streams.add(task)
    response = web.StreamResponse(headers=HEADERS)
    try:
        await response.prepare(request)
        # A first comment sends the headers on their way, so that a client knows at once that it is connected.
        await response.write(b": connected\n\n")
        await feed(response)
    except asyncio.CancelledError:
        if not service.closing:
            raise
        # Shutting down: the stream just ends, and the client comes back with the id it has.
    except (ConnectionError, TimeoutError):
        return response  # the reader went away, or read nothing for minutes
    finally:
        service.streams.discard(task)
    return response


async def _feed(
    response: web.StreamResponse, follower: Follower, frames: Frames, types: frozenset[str] | None, named: bool
) -> None:
    while True:
        events = await follower.next(KEEP_ALIVE_SECONDS, EVENTS_AT_ONCE)
        pending: list[bytes] = []
        size = 0
        ended = False
        for recorded in events:
            if (made := frames.of(recorded, named)) is None:
                continue
            event, framed = made
            ended = ended or event.terminal
            if types is None or event.type in types:
                pending.append(framed)
                size += len(framed)
            if size >= BYTES_AT_ONCE:
                await write(response, b"".join(pending))
                pending, size = [], 0
        if follower.ended and not events:
            return
        if pending or not events:
            await write(response, b"".join(pending) or b": keep-alive\n\n")
        if ended:
            return


async def write(response: web.StreamResponse, data: bytes) -> None:
    """Send; raises TimeoutError if the reader takes nothing for minutes."""
    async with asyncio.timeout(STALLED_SECONDS):
        await response.write(data)


async def _resume_point(service: Service, request: web.Request, subject_id: str) -> int:
    """The position behind which the stream begins.

    An id of this subject, sent before or not: right behind it. One of another subject: the beginning, since clients
    keep one id for all their streams. What cannot be an id of this log is refused.
    """
    position = position_of(request, service)
    if position is None:
        return 0
    at = await service.log.read(position - 1, limit=1)
    ours = bool(at) and at[0].position == position and subject(at[0].stream) == subject_id
    return position if ours else 0


def position_of(request: web.Request, service: Service) -> int | None:
    """The position of the event that the client has seen last; None if it names none."""
    given = request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or ""
    if not given:
        return None
    match = _ID.fullmatch(given)
    if match is None or int(match[1]) > max(service.log.head, service.log.appended):
        raise BadRequest(f"Last-Event-ID: {given[:40]!r} is not the id of an event")
    return int(match[1])


async def _anything_left(service: Service, after: int, streams: Sequence[str], types: frozenset[str] | None) -> bool:
    while events := await service.log.read(after, limit=EVENTS_AT_ONCE, streams=streams):
        for recorded in events:
            event = publish(recorded)
            if event is not None and (types is None or event.type in types):
                return True
        after = events[-1].position
    return False
