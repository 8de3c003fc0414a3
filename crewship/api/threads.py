"""/v1/threads."""

from typing import Any

import msgspec
from aiohttp import web

from crewship.api.bodies import (
    DEFAULT_LIMIT,
    MOST_LIMIT,
    CopyThread,
    CreateThread,
    EditState,
    PatchThread,
    RunThread,
    body,
    check_size,
    flag,
    number,
    paging,
)
from crewship.api.context import SERVICE, author, fresh_views
from crewship.api.middleware import answer
from crewship.api.reach import deployment_of, reachable
from crewship.api.repeats import idempotency, repeatable
from crewship.api.runs import ended
from crewship.blobs import BlobStore
from crewship.commands import checkpoints as checkpoint_commands
from crewship.commands import runs as run_commands
from crewship.commands import threads as commands
from crewship.commands.threads import Turn
from domain.errors import BadRequest, NotFound
from domain.run import Resume, Update
from domain.thread import Memory
from projections import threads as view
from projections.projection import Row, from_json

STATUSES = ("idle", "busy", "interrupted", "error")
EDIT_WAIT_SECONDS = 120.0


async def create(request: web.Request) -> web.Response:
    """POST /v1/threads: begin a conversation with a deployment."""
    wanted = await body(request, CreateThread)
    if not wanted.deployment_id:
        raise BadRequest("deployment_id is required")
    service = request.app[SERVICE]
    check_size("metadata", wanted.metadata)
    check_size("values", wanted.values)
    thread_id = await commands.create(
        service.log,
        service.blobs,
        await reachable(request, wanted.deployment_id),
        wanted.metadata or {},
        wanted.values or {},
        author(request),
        repeatable(request, wanted),
    )
    return answer(await _shown(request, thread_id), 201)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/threads: the threads of a deployment, newest first."""
    views = await fresh_views(request)
    reference = request.query.get("deployment_id")
    if not reference:
        raise BadRequest("deployment_id is required")
    deployment = await deployment_of(request, reference)
    filters = {"deployment_id": deployment.id}
    if (status := request.query.get("status")) is not None:
        if status not in STATUSES:
            raise BadRequest(f"status: expected one of {', '.join(STATUSES)}")
        filters["status"] = status
    rows = await views.rows(view.listing(tuple(filters)), **filters, **paging(request))
    return answer({"threads": [view.public(row) for row in rows]})


async def get(request: web.Request) -> web.Response:
    """GET /v1/threads/{thread_id}: one thread."""
    return answer(await _shown(request, request.match_info["thread_id"]))


async def patch(request: web.Request) -> web.Response:
    """PATCH /v1/threads/{thread_id}: other metadata."""
    wanted = await body(request, PatchThread)
    check_size("metadata", wanted.metadata)
    thread_id = request.match_info["thread_id"]
    await commands.set_metadata(request.app[SERVICE].log, thread_id, wanted.metadata, author(request))
    return answer(await _shown(request, thread_id))


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/threads/{thread_id}: take a thread at rest out of service."""
    await commands.delete(request.app[SERVICE].log, request.match_info["thread_id"], author(request))
    return web.Response(status=204)


async def copy(request: web.Request) -> web.Response:
    """POST /v1/threads/{thread_id}/copy: a new thread with the same history, or with it up to a checkpoint."""
    wanted = await body(request, CopyThread)
    thread_id = request.match_info["thread_id"]
    metadata = wanted.metadata
    if metadata is None:
        metadata = (await _shown(request, thread_id))["metadata"]
    service = request.app[SERVICE]
    copied = await commands.copy(
        service.log, thread_id, wanted.checkpoint_id, metadata, author(request), repeatable(request, wanted)
    )
    return answer(await _shown(request, copied), 201)


async def run(request: web.Request) -> web.Response:
    """POST /v1/threads/{thread_id}/runs: the thread's next turn: an input, or the answer to its question."""
    service = request.app[SERVICE]
    service.admit_run()
    wanted = await body(request, RunThread)
    check_size("input", wanted.input)
    resume = None if wanted.resume is msgspec.UNSET else Resume(wanted.resume)
    check_size("resume", resume)
    thread_id = request.match_info["thread_id"]
    fingerprinted = thread_id.encode() + msgspec.json.encode(wanted, order="deterministic")
    turn = Turn(
        environment=wanted.environment,
        input=wanted.input,
        resume=resume,
        on_busy=wanted.on_busy,
        idempotency=idempotency(request, fingerprinted),
    )
    return answer(await commands.begin(service.log, service.blobs, thread_id, turn, author(request)), 202)


async def history(request: web.Request) -> web.Response:
    """GET /v1/threads/{thread_id}/history: its checkpoints, newest first."""
    views = await fresh_views(request)
    thread, _ = await commands.find(request.app[SERVICE].log, request.match_info["thread_id"])
    rows = await views.rows(view.history(flag(request, "steps", False)), thread_id=thread.id, **paging(request))
    return answer({"checkpoints": [view.public_checkpoint(row) for row in rows]})


async def checkpoints(request: web.Request) -> web.Response:
    """GET /v1/threads/{thread_id}/checkpoints: what its graph saved, as its runs read it: opaque, the latest first.

    At most `limit` of them and about 16 MiB; `more` says whether there are older ones, behind `before`.
    """
    service = request.app[SERVICE]
    thread, _ = await commands.find(service.log, request.match_info["thread_id"])
    memory, _ = (Memory(), 0) if thread.erased else await commands.memory_of(service.log, thread.id)
    query = request.query
    found = await checkpoint_commands.page(
        service.blobs,
        memory,
        limit=number(request, "limit", DEFAULT_LIMIT, 1, MOST_LIMIT),
        ns=query.get("ns"),
        checkpoint_id=query.get("checkpoint_id"),
        before=query.get("before"),
    )
    return answer(found)


async def state(request: web.Request) -> web.Response:
    """GET /v1/threads/{thread_id}/state: what it remembers now, or at a checkpoint, whole."""
    thread, _ = await commands.find(request.app[SERVICE].log, request.match_info["thread_id"])
    views = await fresh_views(request)
    wanted = request.query.get("checkpoint_id")
    if wanted is None:
        rows = await views.rows(view.history(False), thread_id=thread.id, limit=1, offset=0)
    else:
        rows = await views.rows(view.GET_CHECKPOINT, thread_id=thread.id, checkpoint_id=wanted)
    if not rows:
        raise NotFound(f"Thread {thread.id} has no checkpoint {wanted or 'yet'}")
    return answer(await _whole(request.app[SERVICE].blobs, view.public_checkpoint(rows[0]), rows[0]))


async def edit(request: web.Request) -> web.Response:
    """POST /v1/threads/{thread_id}/state: new values by the graph's own rules, or going back to a checkpoint.

    200 with the new checkpoint once it is there; 202 with the run that makes it if that takes long.
    """
    service = request.app[SERVICE]
    thread_id = request.match_info["thread_id"]
    wanted = await body(request, EditState)
    check_size("values", wanted.values)
    if wanted.values is None and wanted.checkpoint_id is None:
        raise BadRequest("values is required (or checkpoint_id, to go back to)")
    restored = await _checkpoint(request, thread_id, wanted.checkpoint_id) if wanted.checkpoint_id else None
    if wanted.as_node is None and await commands.set_values(
        service.log, service.blobs, thread_id, wanted.values or {}, author(request), restored
    ):
        return answer(await _newest_checkpoint(request, thread_id))
    update = Update(values=wanted.values, as_node=wanted.as_node, checkpoint_id=wanted.checkpoint_id)
    turn = Turn(environment=wanted.environment, update=update)
    begun = await commands.begin(service.log, service.blobs, thread_id, turn, author(request))
    run = await ended(service, begun.run_id, EDIT_WAIT_SECONDS)
    if not run.finished:
        return answer(begun, 202)
    if run.status != "succeeded":
        failed = await run_commands.error_of(service.log, run.id)
        raise BadRequest(f"The state cannot be set: {failed or run.status}", run_id=run.id)
    return answer(await _newest_checkpoint(request, thread_id))


async def _checkpoint(request: web.Request, thread_id: str, checkpoint_id: str) -> tuple[str, dict[str, Any]]:
    views = await fresh_views(request)
    row = await views.row(view.GET_CHECKPOINT, thread_id=thread_id, checkpoint_id=checkpoint_id)
    if row is None:
        raise NotFound(f"Thread {thread_id} has no checkpoint {checkpoint_id}")
    shown = await _whole(request.app[SERVICE].blobs, view.public_checkpoint(row), row)
    return checkpoint_id, shown["values"] or {}


async def _newest_checkpoint(request: web.Request, thread_id: str) -> dict[str, Any]:
    views = await fresh_views(request)
    rows = await views.rows(view.history(False), thread_id=thread_id, limit=1, offset=0)
    return await _whole(request.app[SERVICE].blobs, view.public_checkpoint(rows[0]), rows[0])


async def _shown(request: web.Request, thread_id: str) -> dict[str, Any]:
    views = await fresh_views(request)
    row = await views.row(view.GET, id=thread_id)
    if row is None:
        raise NotFound(f"Thread {thread_id} not found")
    return await _whole(request.app[SERVICE].blobs, view.public(row), row)


async def _whole(blobs: BlobStore, shown: dict[str, Any], row: Row) -> dict[str, Any]:
    if stored := from_json(row["stored_values"]):
        shown["values"] = msgspec.json.decode(await blobs.load(stored["sha256"]))
    return shown
