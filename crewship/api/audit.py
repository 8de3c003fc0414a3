"""/v1/events, the whole log, and /v1/audit, whether it still is what was written."""

import asyncio
from datetime import datetime

import msgspec
from aiohttp import web

from crewship.api.bodies import number
from crewship.api.context import SERVICE, Service
from crewship.api.events import HEADERS, KEEP_ALIVE_SECONDS, position_of, write
from crewship.api.middleware import answer
from crewship.eventlog import Found, Query, browse, newest_seal, verify
from domain.catalog import BY_TAG
from domain.errors import BadRequest
from domain.seal import read_head
from projections.audit import entry

DEFAULT_LIMIT = 100
MOST_LIMIT = 1_000
MOST_POSITION = 10**12 - 1
FRAMES_AT_ONCE = 100
EVENTS_A_PIECE = 50_000


async def listing(request: web.Request) -> web.StreamResponse:
    """GET /v1/events: the whole log, as JSON, or as a stream where the client accepts text/event-stream.

    A stream has the entries one by one, resumes behind `Last-Event-ID`, and does not end.
    """
    query = _query(request)
    if "text/event-stream" in request.headers.get("Accept", ""):
        return await _stream(request, query)
    after = number(request, "after", 0, 0, MOST_POSITION)
    limit = number(request, "limit", DEFAULT_LIMIT, 1, MOST_LIMIT)
    found = await _browse(request.app[SERVICE], after, limit, query)
    return answer({"events": [entry(event) for event in found.events], "next_after": found.looked_up_to})


async def head(request: web.Request) -> web.Response:
    """GET /v1/audit/head: the end of the chain of seals, to be kept somewhere else."""
    log = request.app[SERVICE].log
    end, _ = await log.stored(newest_seal)
    return answer({"position": end.last, "root": end.root, "head": str(end), "newest": log.head})


async def seal(request: web.Request) -> web.Response:
    """POST /v1/audit/seal: seals now what would be sealed within seconds; then as GET /v1/audit/head."""
    await request.app[SERVICE].seal()
    return await head(request)


async def verification(request: web.Request) -> web.Response:
    """GET /v1/audit/verify: one piece of the log held against its seals; `next_after` is where the next one begins."""
    after = number(request, "after", 0, 0, MOST_POSITION)
    pinned = request.query.get("head")
    if pinned is not None and read_head(pinned) is None:
        raise BadRequest("head: expected what `crewship audit head` prints, POSITION:ROOT")
    log = request.app[SERVICE].log
    found = await log.stored(lambda recorder: verify(recorder, after, most=EVENTS_A_PIECE, pinned=pinned))
    return answer(found)


def _query(request: web.Request) -> Query:
    types = tuple(filter(None, request.query.get("types", "").split(",")))
    for kind in types:
        if kind not in BY_TAG:
            raise BadRequest(f"types: nothing is stored as {kind[:40]!r}; there are {', '.join(sorted(BY_TAG))}")
    stream = request.query.get("stream")
    if stream is not None and "\0" in stream:
        raise BadRequest("stream: not the name of a stream")
    by = request.query.get("by", request.query.get("actor"))
    return Query(types=types, stream=stream, by=by, since=_moment(request, "since"), until=_moment(request, "until"))


def _moment(request: web.Request, name: str) -> datetime | None:
    given = request.query.get(name)
    if not given:
        return None
    try:
        moment = msgspec.convert(given, datetime)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadRequest(f"{name}: expected a time with its zone, like 2026-01-31T12:00:00Z")
    return moment


async def _browse(service: Service, after: int, limit: int, query: Query) -> Found:
    return await service.log.stored(lambda recorder: browse(recorder, after, limit, query))


async def _stream(request: web.Request, query: Query) -> web.StreamResponse:
    service = request.app[SERVICE]
    after = position_of(request, service)
    if after is None:
        after = number(request, "after", 0, 0, MOST_POSITION)
    task = asyncio.current_task()
    assert task is not None
    service.streams.add(task)
    response = web.StreamResponse(headers=HEADERS)
    try:
        await response.prepare(request)
        await write(response, b": connected\n\n")
        await _feed(response, service, after, query)
    except asyncio.CancelledError:
        if not service.closing:
            raise
    except (ConnectionError, TimeoutError):
        return response  # the reader went away, or read nothing for minutes
    finally:
        service.streams.discard(task)
    return response


async def _feed(response: web.StreamResponse, service: Service, after: int, query: Query) -> None:
    with service.log.follower(after) as follower:
        while True:
            follower.after = max(after, service.log.head)
            found = await _browse(service, after, FRAMES_AT_ONCE, query)
            if found.events:
                frames = (
                    b"event: %s\ndata: %s\nid: evt_%03d\n\n"
                    % (event.event.tag().encode(), msgspec.json.encode(entry(event)), event.position)
                    for event in found.events
                )
                await write(response, b"".join(frames))
            elif found.looked_up_to == after and not await follower.next(KEEP_ALIVE_SECONDS):
                if follower.ended:
                    return
                await write(response, b": keep-alive\n\n")
            after = found.looked_up_to
