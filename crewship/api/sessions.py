"""/v1/session: signing in to the console. The browser keeps a cookie that no script can read, the server nothing."""

from aiohttp import web

from crewship import clock
from crewship.api.bodies import SignIn, body
from crewship.api.context import PRINCIPAL, SERVICE
from crewship.api.limits import DOORKEEPER
from crewship.api.middleware import SESSION_COOKIE, answer, demand_console, refuse_where_only_runs_may
from crewship.commands.keys import SESSION_LIFE, Principal
from domain.access import SCOPES


async def create(request: web.Request) -> web.Response:
    """POST /v1/session: sign in with an API key."""
    wanted = await body(request, SignIn)
    service = request.app[SERVICE]
    session = service.keys.sign_in(await request.app[DOORKEEPER].authenticate(request, wanted.api_key.strip()))
    refuse_where_only_runs_may(request)
    demand_console(request)
    response = answer({**_shown(session.principal), "expires_at": clock.iso(session.expires_at)}, 201)
    response.set_cookie(
        SESSION_COOKIE,
        session.token,
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="Strict",
        secure=request.secure or (service.settings.public_url or "").startswith("https://"),
    )
    return response


async def get(request: web.Request) -> web.Response:
    """GET /v1/session: who is asking, and what they may do."""
    return answer(_shown(request[PRINCIPAL]))


async def delete(_: web.Request) -> web.Response:
    """DELETE /v1/session: sign out."""
    response = web.Response(status=204)
    response.del_cookie(SESSION_COOKIE, httponly=True, samesite="Strict")
    return response


def _shown(principal: Principal) -> dict[str, object]:
    return {
        "name": principal.name,
        "actor": principal.actor,
        "scopes": [scope for scope in SCOPES if scope in principal.scopes],
    }
