"""/v1/deployments/{id}/webhooks: tokens that start runs, endpoints that are told of them."""

import asyncio
from typing import Any

from aiohttp import web

from crewship.api.bodies import ChangeWebhook, CreateWebhook, body, paging
from crewship.api.context import SERVICE, author, fresh_views
from crewship.api.middleware import answer
from crewship.api.repeats import repeatable
from crewship.commands import deliveries as delivery_commands
from crewship.commands import deployments
from crewship.commands import webhooks as commands
from domain.errors import BadRequest, NotFound
from domain.webhook import NOTICES
from projections import webhooks as view

TEST_SECONDS = 15.0
DIRECTIONS = ("incoming", "outgoing")
STATUSES = ("pending", "succeeded", "failed")


async def create(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/webhooks: a token that starts runs, or an endpoint that is told of them.

    The token or the secret is in this answer, and in no other but that of a rotation. A repetition under the same
    Idempotency-Key is a 409 that names the webhook which the first one made.
    """
    wanted = await body(request, CreateWebhook)
    service, reference, key = request.app[SERVICE], request.match_info["deployment"], repeatable(request, wanted)
    if wanted.direction == "incoming":
        webhook_id, token = await commands.create_incoming(
            service.log, reference, wanted.name, wanted.environment, author(request), key
        )
        return answer({**await _shown(request, webhook_id), **_token(request, token)}, 201)
    if wanted.url is None:
        raise BadRequest("url is required")
    service.reach.check_url(wanted.url)
    events = list(NOTICES) if wanted.events is None else wanted.events
    webhook_id, secret = await commands.create_outgoing(
        service.log, reference, wanted.name, wanted.url, events, author(request), key
    )
    return answer({**await _shown(request, webhook_id), "secret": secret}, 201)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/webhooks: a deployment's webhooks, newest first."""
    filters = _filters(request, "direction", DIRECTIONS)
    views = await fresh_views(request)
    rows = await views.rows(
        view.listing(tuple(filters)), deployment_id=await _deployment_id(request), **filters, **paging(request)
    )
    return answer({"webhooks": [view.public(row) for row in rows]})


async def get(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/webhooks/{webhook_id}: one webhook, without what is secret about it."""
    return answer(await _shown(request, request.match_info["webhook_id"]))


async def change(request: web.Request) -> web.Response:
    """PATCH /v1/deployments/{deployment}/webhooks/{webhook_id}: change what is given."""
    wanted = await body(request, ChangeWebhook)
    service, webhook_id = request.app[SERVICE], request.match_info["webhook_id"]
    if wanted.url is not None:
        service.reach.check_url(wanted.url)
    await commands.change(
        service.log,
        request.match_info["deployment"],
        webhook_id,
        author(request),
        name=wanted.name,
        environment=wanted.environment,
        events=wanted.events,
        url=wanted.url,
    )
    return answer(await _shown(request, webhook_id))


async def rotate(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/webhooks/{webhook_id}/rotate: a new token or secret.

    An old token ends at once; an old secret signs beside the new one for a day.
    """
    reference, webhook_id = request.match_info["deployment"], request.match_info["webhook_id"]
    made, is_token = await commands.rotate(request.app[SERVICE].log, reference, webhook_id, author(request))
    shown = await _shown(request, webhook_id)
    return answer({**shown, **(_token(request, made) if is_token else {"secret": made})})


async def resume(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/webhooks/{webhook_id}/resume: tell a paused endpoint again."""
    reference, webhook_id = request.match_info["deployment"], request.match_info["webhook_id"]
    await commands.resume(request.app[SERVICE].log, reference, webhook_id, author(request))
    return answer(await _shown(request, webhook_id))


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/deployments/{deployment}/webhooks/{webhook_id}: revoke a token, forget an endpoint."""
    reference, webhook_id = request.match_info["deployment"], request.match_info["webhook_id"]
    await commands.delete(request.app[SERVICE].log, reference, webhook_id, author(request))
    return web.Response(status=204)


async def test(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/webhooks/{webhook_id}/test: a ping, and what came of it."""
    log = request.app[SERVICE].log
    reference, webhook_id = request.match_info["deployment"], request.match_info["webhook_id"]
    with log.follower(log.head) as follower:
        stream = await delivery_commands.ping(log, reference, webhook_id, author(request))
        try:
            async with asyncio.timeout(TEST_SECONDS):
                while (delivery := (await delivery_commands.find(log, stream))[0]).status == "pending":
                    await follower.next()
        except TimeoutError:
            pass
    return answer(await _shown_delivery(request, delivery.id))


async def deliveries(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/webhooks/{webhook_id}/deliveries: what an endpoint was told, newest first."""
    webhook = await _shown(request, request.match_info["webhook_id"])
    filters = _filters(request, "status", STATUSES)
    filters |= {name: request.query[name] for name in ("run_id",) if name in request.query}
    views = await fresh_views(request)
    rows = await views.rows(view.deliveries(tuple(filters)), webhook_id=webhook["id"], **filters, **paging(request))
    return answer({"deliveries": [view.public_delivery(row) for row in rows]})


async def delivery(request: web.Request) -> web.Response:
    """GET /v1/deployments/{deployment}/webhooks/{webhook_id}/deliveries/{delivery_id}: with every attempt."""
    return answer(await _shown_delivery(request, request.match_info["delivery_id"]))


async def redeliver(request: web.Request) -> web.Response:
    """POST /v1/deployments/{deployment}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver: once more.

    It keeps its id, so that a receiver that has it already can tell.
    """
    row = await _delivery_row(request, request.match_info["delivery_id"])
    await delivery_commands.requeue(request.app[SERVICE].log, row["stream"], author(request))
    return answer(await _shown_delivery(request, row["id"]), 202)


def _filters(request: web.Request, name: str, known: tuple[str, ...]) -> dict[str, str]:
    if name not in request.query:
        return {}
    if request.query[name] not in known:
        raise BadRequest(f"{name}: expected one of {', '.join(known)}")
    return {name: request.query[name]}


def _token(request: web.Request, token: str) -> dict[str, str]:
    base = request.app[SERVICE].settings.public_url or str(request.url.origin())
    return {"token": token, "url": f"{base.rstrip('/')}/webhooks/runs/{token}"}


async def _deployment_id(request: web.Request) -> str:
    deployment, _ = await deployments.find(request.app[SERVICE].log, request.match_info["deployment"])
    return deployment.id


async def _shown(request: web.Request, webhook_id: str) -> dict[str, Any]:
    views = await fresh_views(request)
    row = await views.row(view.GET, deployment_id=await _deployment_id(request), id=webhook_id)
    if row is None:
        raise NotFound(f"Webhook {webhook_id[:80]} not found")
    return view.public(row)


async def _delivery_row(request: web.Request, delivery_id: str) -> dict[str, Any]:
    webhook = await _shown(request, request.match_info["webhook_id"])
    views = await fresh_views(request)
    row = await views.row(view.GET_DELIVERY, webhook_id=webhook["id"], id=delivery_id)
    if row is None:
        raise NotFound(f"Delivery {delivery_id[:80]} not found")
    return row


async def _shown_delivery(request: web.Request, delivery_id: str) -> dict[str, Any]:
    row = await _delivery_row(request, delivery_id)
    attempts = await (await fresh_views(request)).rows(view.ATTEMPTS_OF, delivery_id=delivery_id)
    return {**view.public_delivery(row), "attempts": [view.public_attempt(attempt) for attempt in attempts]}
