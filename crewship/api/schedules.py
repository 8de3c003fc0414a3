"""/v1/deployments/{id}/schedules: runs that begin by the clock."""

from itertools import islice
from typing import Any

from aiohttp import web

from crewship import clock
from crewship.api.bodies import ChangeSchedule, CreateSchedule, body, check_size, number, paging
from crewship.api.context import SERVICE, author, fresh_views
from crewship.api.middleware import answer
from crewship.api.repeats import repeatable
from crewship.commands import deployments
from crewship.commands import schedules as commands
from crewship.cron import cron
from domain.errors import NotFound
from projections import schedules as view
from projections.projection import Row, text

MOST_NEXT = 100


async def create(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/schedules: let runs begin at the times of a cron expression."""
    wanted = await body(request, CreateSchedule)
    check_size("input", wanted.input)
    service = request.app[SERVICE]
    schedule_id = await commands.create(
        service.log,
        service.blobs,
        request.match_info["deployment"],
        author(request),
        name=wanted.name,
        expression=wanted.cron,
        timezone=wanted.timezone,
        environment=wanted.environment,
        given=wanted.input or {},
        overlap=wanted.overlap,
        catch_up=wanted.catch_up_seconds,
        idempotency=repeatable(request, wanted),
    )
    return answer(await _shown(request, schedule_id), 201)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/schedules: a deployment's schedules, newest first."""
    views = await fresh_views(request)
    rows = await views.rows(view.LIST, deployment_id=await _deployment_id(request), **paging(request))
    return answer({"schedules": [_public(row, 1) for row in rows]})


async def get(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/schedules/{schedule_id}: one schedule, and its next times."""
    count = number(request, "next", 1, 0, MOST_NEXT)
    return answer(await _shown(request, request.match_info["schedule_id"], count))


async def change(request: web.Request) -> web.Response:
    """PATCH /v1/deployments/{deployment}/schedules/{schedule_id}: change what is given, from now on."""
    wanted = await body(request, ChangeSchedule)
    check_size("input", wanted.input)
    service, schedule_id = request.app[SERVICE], request.match_info["schedule_id"]
    await commands.change(
        service.log,
        service.blobs,
        request.match_info["deployment"],
        schedule_id,
        author(request),
        name=wanted.name,
        cron=wanted.cron,
        timezone=wanted.timezone,
        environment=wanted.environment,
        input=wanted.input,
        overlap=wanted.overlap,
        catch_up=wanted.catch_up_seconds,
    )
    return answer(await _shown(request, schedule_id))


async def pause(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/schedules/{schedule_id}/pause: let no run begin until it is resumed."""
    reference, schedule_id = request.match_info["deployment"], request.match_info["schedule_id"]
    await commands.pause(request.app[SERVICE].log, reference, schedule_id, author(request))
    return answer(await _shown(request, schedule_id))


async def resume(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/schedules/{schedule_id}/resume: go on, with the next time."""
    reference, schedule_id = request.match_info["deployment"], request.match_info["schedule_id"]
    await commands.resume(request.app[SERVICE].log, reference, schedule_id, author(request))
    return answer(await _shown(request, schedule_id))


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/deployments/{deployment}/schedules/{schedule_id}: let no run begin any more."""
    reference, schedule_id = request.match_info["deployment"], request.match_info["schedule_id"]
    await commands.delete(request.app[SERVICE].log, reference, schedule_id, author(request))
    return web.Response(status=204)


async def history(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/schedules/{schedule_id}/history: what came of its times, newest first."""
    schedule = await _shown(request, request.match_info["schedule_id"], 0)
    views = await fresh_views(request)
    rows = await views.rows(view.HISTORY, schedule_id=schedule["id"], **paging(request))
    return answer({"history": [view.public_tick(row) for row in rows]})


async def _deployment_id(request: web.Request) -> str:
    deployment, _ = await deployments.find(request.app[SERVICE].log, request.match_info["deployment"])
    return deployment.id


async def _shown(request: web.Request, schedule_id: str, count: int = 1) -> dict[str, Any]:
    views = await fresh_views(request)
    row = await views.row(view.GET, deployment_id=await _deployment_id(request), id=schedule_id)
    if row is None:
        raise NotFound(f"Schedule {schedule_id[:80]} not found")
    return _public(row, count)


def _public(row: Row, count: int) -> dict[str, Any]:
    """A schedule with its next times: none while it is paused."""
    times = cron(row["cron"], row["timezone"]).after(clock.now()) if row["paused_at"] is None else iter(())
    return {**view.public(row), "next": [text(at) for at in islice(times, count)]}
