"""/v1/deployments and /v1/versions."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from crewship.api.bodies import CreateDeployment, Promote, RollBack, SetVariables, body, environment, paging
from crewship.api.context import SERVICE, author, fresh_views
from crewship.api.middleware import answer
from crewship.api.reach import bound_to, how_many
from crewship.api.repeats import repeatable
from crewship.commands import deployments as commands
from crewship.views import Views
from domain.errors import BadRequest, NotFound
from domain.manifest import parse
from projections import deployments as view
from projections import runs as runs_view
from projections.projection import within

CHUNK = 256 * 1024
STALLED_SECONDS = 60.0


async def create(request: web.Request) -> web.Response:
    """POST /v1/deployments: make a deployment, which waits for its first version."""
    wanted = await body(request, CreateDeployment)
    log = request.app[SERVICE].log
    deployment_id = await commands.create(log, wanted.name, author(request), repeatable(request, wanted))
    return answer(await _shown(await fresh_views(request), deployment_id), 201)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/deployments: deployments, newest first."""
    views = await fresh_views(request)
    filters = {"name": request.query["name"]} if "name" in request.query else {}
    bound = bound_to(request)
    statement = view.listing(tuple(filters), how_many(bound))
    rows = await views.rows(statement, **filters, **within(bound), **paging(request))
    live = await views.rows(view.ALL_LIVE) if rows else []
    return answer({"deployments": [view.public(row, live) for row in rows]})


async def get(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}: one deployment, and what is live where."""
    return answer(await _shown(await fresh_views(request), await _id(request)))


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/deployments/{deployment}: take a deployment at rest out of service; its name is free again."""

    async def count_unfinished(deployment_id: str) -> int:
        views = await fresh_views(request)
        counted = await views.row(runs_view.COUNT_UNFINISHED, deployment_id=deployment_id)
        return counted["runs"] if counted else 0

    reference = request.match_info["deployment"]
    await commands.delete(request.app[SERVICE].log, reference, count_unfinished, author(request))
    return web.Response(status=204)


async def upload(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/versions: the project as a gzipped tar."""
    service = request.app[SERVICE]
    service.admit()
    target = environment(request)
    deployment, _ = await commands.find(service.log, request.match_info["deployment"])
    blob = await service.blobs.put_stream(_chunks(request), service.settings.upload_limit)
    checked = await asyncio.to_thread(service.check_snapshot, service.blobs.path(blob.sha256))
    if checked.manifest is None:
        raise BadRequest("The project has no crewship.toml; make one with crewship init")
    manifest = parse(checked.manifest).deployment(deployment.name)
    snapshot = commands.Snapshot(
        source_sha256=blob.sha256,
        size=blob.size,
        files=checked.files,
        manifest=msgspec.to_builtins(manifest),
        framework=manifest.framework,
    )
    repeated = repeatable(request, (target, blob.sha256))
    version_id, number = await commands.add_version(
        service.log, deployment.id, target, snapshot, author(request), repeated
    )
    return answer({"version_id": version_id, "version_number": number, "status": "building"}, 202)


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    try:
        while True:
            async with asyncio.timeout(STALLED_SECONDS):
                chunk = await request.content.read(CHUNK)
            if not chunk:
                return
            yield chunk
    except TimeoutError:
        raise BadRequest(f"The upload stood still for {STALLED_SECONDS:g} s") from None


async def versions(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/versions: its versions, newest first."""
    views = await fresh_views(request)
    deployment_id = await _id(request)
    rows = await views.rows(view.LIST_VERSIONS, deployment_id=deployment_id, **paging(request))
    live = await views.rows(view.LIVE_OF, deployment_id=deployment_id)
    return answer({"versions": [view.public_version(row, live) for row in rows]})


async def version(request: web.Request) -> web.Response:
    """GET /v1/versions/{version_id}: one version."""
    return answer(await _shown_version(await fresh_views(request), request.match_info["version_id"]))


async def roll_back(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/rollback: put an earlier version live, by default the one before."""
    wanted = await body(request, RollBack)
    reference = request.match_info["deployment"]
    live = await commands.roll_back(
        request.app[SERVICE].log, reference, wanted.environment, wanted.version_id, author(request)
    )
    return answer(await _shown_version(await fresh_views(request), live))


async def promote(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/promote: put live in one environment what is live in another."""
    wanted = await body(request, Promote)
    reference = request.match_info["deployment"]
    live = await commands.promote(request.app[SERVICE].log, reference, wanted.source, wanted.target, author(request))
    return answer(await _shown_version(await fresh_views(request), live))


async def variables(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/env: the names of its variables, never their values."""
    return answer(await _variables(await fresh_views(request), await _id(request)))


async def set_variables(request: web.Request) -> web.Response:
    """PUT /v1/deployments/{deployment}/env: set variables; those that are not named stay."""
    wanted = await body(request, SetVariables)
    reference = request.match_info["deployment"]
    changed = await commands.set_variables(request.app[SERVICE].log, reference, wanted.variables, author(request))
    return answer(await _variables(await fresh_views(request), changed))


async def unset_variable(request: web.Request) -> web.Response:
    """DELETE /v1/deployments/{deployment}/env/{name}: forget a variable."""
    reference, name = request.match_info["deployment"], request.match_info["name"]
    await commands.unset_variable(request.app[SERVICE].log, reference, name, author(request))
    return web.Response(status=204)


async def _id(request: web.Request) -> str:
    deployment, _ = await commands.find(request.app[SERVICE].log, request.match_info["deployment"])
    return deployment.id


async def _shown(views: Views, deployment_id: str) -> dict[str, object]:
    row = await views.row(view.GET, id=deployment_id)
    if row is None:
        raise NotFound(f"Deployment {deployment_id} not found")
    return view.public(row, await views.rows(view.LIVE_OF, deployment_id=deployment_id))


async def _shown_version(views: Views, version_id: str) -> dict[str, object]:
    row = await views.row(view.GET_VERSION, id=version_id)
    if row is None:
        raise NotFound(f"Version {version_id} not found")
    return view.public_version(row, await views.rows(view.LIVE_OF, deployment_id=row["deployment_id"]))


async def _variables(views: Views, deployment_id: str) -> dict[str, object]:
    rows = await views.rows(view.LIST_VARIABLES, deployment_id=deployment_id)
    return {"variables": [view.public_variable(row) for row in rows]}
