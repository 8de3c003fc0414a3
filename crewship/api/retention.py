"""/v1/retention and /v1/deployments/{deployment}/retention: how long what ended runs hold is kept."""

from aiohttp import web

from crewship.api.bodies import SetRetention, body
from crewship.api.context import SERVICE, author
from crewship.api.middleware import answer
from crewship.commands import retention as commands
from domain.retention import Rule


async def get(request: web.Request) -> web.Response:
    """GET /v1/retention: the rule of the installation; 404 if none was set."""
    return await _get(request, None)


async def put(request: web.Request) -> web.Response:
    """PUT /v1/retention: erase ended runs that are older than that, or of which so many newer ones are kept.

    It counts for every deployment that has no rule of its own, and takes the place of the rule before.
    """
    return await _put(request, None)


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/retention: erase nothing by the installation's rule any more."""
    return await _delete(request, None)


async def get_own(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/retention: the deployment's own rule; 404 if it has none."""
    return await _get(request, request.match_info["deployment"])


async def put_own(request: web.Request) -> web.Response:
    """PUT /v1/deployments/{deployment}/retention: the deployment's own rule, in place of the installation's."""
    return await _put(request, request.match_info["deployment"])


async def delete_own(request: web.Request) -> web.Response:
    """DELETE /v1/deployments/{deployment}/retention: the deployment goes by the installation's rule again."""
    return await _delete(request, request.match_info["deployment"])


async def _get(request: web.Request, deployment: str | None) -> web.Response:
    return answer(_shown(*await commands.rule_of(request.app[SERVICE].log, deployment)))


async def _put(request: web.Request, deployment: str | None) -> web.Response:
    wanted = await body(request, SetRetention)
    rule = Rule(older_than_seconds=wanted.older_than_seconds, keep=wanted.keep)
    return answer(_shown(await commands.set_rule(request.app[SERVICE].log, deployment, rule, author(request)), rule))


async def _delete(request: web.Request, deployment: str | None) -> web.Response:
    await commands.lift(request.app[SERVICE].log, deployment, author(request))
    return web.Response(status=204)


def _shown(deployment_id: str | None, rule: Rule) -> dict[str, object]:
    return {"deployment_id": deployment_id, "older_than_seconds": rule.older_than_seconds, "keep": rule.keep}
