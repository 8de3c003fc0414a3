"""/v1/runs."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from crewship.api.bodies import CreateRun, RerunRun, body, check_size, number, paging
from crewship.api.context import SERVICE, Service, author, fresh_views
from crewship.api.middleware import answer
from crewship.api.reach import bound_to, deployment_of, how_many, reachable
from crewship.api.repeats import idempotency
from crewship.blobs import BlobStore
from crewship.commands import reruns
from crewship.commands import runs as commands
from domain.deployment import ENVIRONMENTS
from domain.errors import BadRequest, NotFound, Unavailable
from domain.run import Run
from projections import artifacts as artifacts_view
from projections import runs as view
from projections.projection import Row, from_json, within

LONGEST_WAIT_SECONDS = 120
CANCEL_WAIT_SECONDS = 30.0
PREVIEW_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
STATUSES = ("pending", "running", "succeeded", "failed", "canceled")


async def create(request: web.Request) -> web.Response:
    """POST /v1/runs: ask for a run of the version that is live in an environment."""
    service = request.app[SERVICE]
    service.admit_run()
    wanted = await body(request, CreateRun)
    if not wanted.deployment_id:
        raise BadRequest("deployment_id is required")
    check_size("input", wanted.input)
    order = commands.Order(
        deployment=await reachable(request, wanted.deployment_id),
        environment=wanted.environment,
        input=wanted.input or {},
        idempotency=idempotency(request, msgspec.json.encode(wanted, order="deterministic")),
    )
    return answer(await commands.request(service.log, service.blobs, order, author(request)), 202)


async def rerun(request: web.Request) -> web.Response:
    """POST /v1/runs/{run_id}/rerun: a new run like that one, in its thread if it had one."""
    service = request.app[SERVICE]
    service.admit_run()
    wanted = await body(request, RerunRun)
    check_size("input", wanted.input)
    run_id = request.match_info["run_id"]
    again = reruns.Again(
        run_id=run_id,
        version=wanted.version,
        input=wanted.input,
        idempotency=idempotency(request, run_id.encode() + msgspec.json.encode(wanted, order="deterministic")),
    )
    return answer(await reruns.rerun(service.log, service.blobs, again, author(request)), 202)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/runs: runs, newest first."""
    views = await fresh_views(request)
    filters = {name: request.query[name] for name in view.FILTERS if name in request.query}
    if filters.get("status", "running") not in STATUSES:
        raise BadRequest(f"status: expected one of {', '.join(STATUSES)}")
    if filters.get("environment", ENVIRONMENTS[0]) not in ENVIRONMENTS:
        raise BadRequest(f"environment: expected one of {', '.join(ENVIRONMENTS)}")
    reference = filters.get("deployment_id")
    if reference is not None and not reference.startswith("dep_"):
        filters["deployment_id"] = (await deployment_of(request, reference)).id
    bound = bound_to(request)
    statement = view.listing(tuple(filters), how_many(bound))
    rows = await views.rows(statement, **filters, **within(bound), **paging(request))
    return answer({"runs": [view.public(row) for row in rows]})


async def get(request: web.Request) -> web.Response:
    """GET /v1/runs/{run_id}: one run, its input and output whole."""
    return answer(await _shown(request))


async def wait(request: web.Request) -> web.Response:
    """GET /v1/runs/{run_id}/wait: the run once it has ended, or as it stands after `timeout` seconds."""
    seconds = number(request, "timeout", 30, 0, LONGEST_WAIT_SECONDS)
    service = request.app[SERVICE]
    task = asyncio.current_task()
    assert task is not None
    service.streams.add(task)
    try:
        await ended(service, request.match_info["run_id"], seconds)
    except asyncio.CancelledError:
        if not service.closing:
            raise
        raise Unavailable("The server is shutting down; ask again in a moment") from None
    finally:
        service.streams.discard(task)
    return answer(await _shown(request))


async def ended(service: Service, run_id: str, seconds: float) -> Run:
    """The run once it has ended, or as it stands after a time."""
    return await come_to(service, run_id, seconds, lambda run: run.finished)


async def come_to(service: Service, run_id: str, seconds: float, there: Callable[[Run], bool]) -> Run:
    """The run once it is there, or as it stands after a time."""
    with service.log.follower(service.log.head, (run_id,)) as follower:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    run, _ = await commands.get(service.log, run_id)
                    if there(run) or follower.ended:
                        return run
                    await follower.next()
        except TimeoutError:
            run, _ = await commands.get(service.log, run_id)
            return run


async def cancel(request: web.Request) -> web.Response:
    """POST /v1/runs/{run_id}/cancel: stop a run, and answer once it has stopped; 202 if that takes long."""
    service = request.app[SERVICE]
    run_id = request.match_info["run_id"]
    await commands.cancel(service.log, run_id, author(request))
    run = await ended(service, run_id, CANCEL_WAIT_SECONDS)
    if not run.finished:
        return answer({"success": True, "status": run.status, "message": "The run was asked to stop"}, 202)
    if run.status != "canceled":
        raise BadRequest(f"Cannot cancel run with status: {run.status}")
    return answer({"success": True, "status": run.status})


async def artifacts(request: web.Request) -> web.Response:
    """GET /v1/runs/{run_id}/artifacts: the files that it left under /app/artifacts/."""
    views = await fresh_views(request)
    run, _ = await commands.get(request.app[SERVICE].log, request.match_info["run_id"])
    rows = await views.rows(artifacts_view.LIST, run_id=run.id)
    return answer({"artifacts": [artifacts_view.public(row) for row in rows]})


async def artifact(request: web.Request) -> web.StreamResponse:
    """GET /v1/runs/{run_id}/artifacts/{name}: the bytes. Never rendered on this origin, whatever they are.

    With `?preview=true` a browser may show them in a frame: still of no origin, and nothing in there runs or loads.
    """
    views = await fresh_views(request)
    run_id, name = request.match_info["run_id"], request.match_info["name"]
    await commands.get(request.app[SERVICE].log, run_id)
    row = await views.row(artifacts_view.GET, run_id=run_id, name=name)
    if row is None:
        raise NotFound(f"Run {run_id} has no artifact {name[:200]}")
    filename = quote(name.rpartition("/")[2], safe="")
    preview = request.query.get("preview", "false").lower() in ("true", "1")
    return web.FileResponse(
        request.app[SERVICE].blobs.path(row["sha256"]),
        headers={
            "Content-Type": row["content_type"],
            "Content-Disposition": f"{'inline' if preview else 'attachment'}; filename*=UTF-8''{filename}",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": PREVIEW_POLICY if preview else "sandbox; default-src 'none'",
            "Cache-Control": "private, max-age=31536000, immutable",
            "X-Crewship-Sha256": row["sha256"],
        },
    )


async def _shown(request: web.Request) -> dict[str, Any]:
    views = await fresh_views(request)
    run_id = request.match_info["run_id"]
    row = await views.row(view.GET, id=run_id)
    if row is None:
        raise NotFound(f"Run {run_id} not found")
    return await shown(request.app[SERVICE].blobs, row)


async def shown(blobs: BlobStore, row: Row) -> dict[str, Any]:
    """A run as the API shows it, large values and all."""
    run = view.public(row)
    for name, column in (("input", "stored_input"), ("output", "stored_output")):
        if stored := from_json(row[column]):
            run[name] = msgspec.json.decode(await blobs.load(stored["sha256"]))
    return run
