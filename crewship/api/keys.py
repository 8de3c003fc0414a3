"""/v1/api-keys."""

from aiohttp import web

from crewship.api.bodies import CreateKey, body, paging
from crewship.api.context import SERVICE, author, fresh_views
from crewship.api.middleware import answer
from crewship.api.reach import deployment_of
from crewship.api.repeats import repeatable
from crewship.commands import keys as commands
from projections import access as view


async def create(request: web.Request) -> web.Response:
    """POST /v1/api-keys: the key itself is in this answer and nowhere else.

    A key that is bound to deployments sees what is theirs, and nothing else is there for it. A repetition under the
    same Idempotency-Key is a 409 that names the key which the first one made.
    """
    wanted = await body(request, CreateKey)
    log = request.app[SERVICE].log
    asked = commands.NewKey(
        name=wanted.name,
        scopes=wanted.scopes,
        expires_at=wanted.expires_at,
        deployment_ids=[(await deployment_of(request, reference)).id for reference in wanted.deployment_ids],
    )
    key_id, key = await commands.create(log, asked, author(request), repeatable(request, wanted))
    views = await fresh_views(request)
    row = await views.row(view.GET, id=key_id)
    return answer({**(view.public(row) if row else {"id": key_id}), "key": key}, 201)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/api-keys: the keys that are not revoked, newest first."""
    views = await fresh_views(request)
    rows = await views.rows(view.LIST, **paging(request))
    return answer({"api_keys": [view.public(row) for row in rows]})


async def revoke(request: web.Request) -> web.Response:
    """DELETE /v1/api-keys/{key_id}: from now on the key opens nothing."""
    await commands.revoke(request.app[SERVICE].log, request.match_info["key_id"], author(request))
    return web.Response(status=204)
