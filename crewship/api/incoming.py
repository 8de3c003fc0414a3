"""/webhooks/runs/{token}: whoever knows the token starts a run. No key."""

import asyncio
import math
import time
from typing import Any

import msgspec
from aiohttp import web

from crewship.api.bodies import body, check_size
from crewship.api.context import PRINCIPAL, SERVICE, author
from crewship.api.limits import Buckets
from crewship.api.middleware import LEFT, answer, refuse_where_only_runs_may
from crewship.api.repeats import idempotency
from crewship.api.runs import come_to
from crewship.commands import runs, webhooks
from crewship.commands.keys import Principal
from crewship.config import RateLimit
from domain.errors import RateLimited

START_SECONDS = 10.0
EACH_TOKEN = RateLimit(60, 60.0)
"""So many requests at once, and one more with every second."""
TOKENS = web.AppKey("what each token may still ask for", Buckets)


async def start_run(request: web.Request) -> web.Response:
    """POST /webhooks/runs/{token}: start a run; the body is its input.

    Answers once the run has started, or after ten seconds with how it stands.
    """
    service = request.app[SERVICE]
    refuse_where_only_runs_may(request)
    deployment_id, webhook = await webhooks.by_token(service.log, request.match_info["token"])
    _count(request, webhook.id)
    service.admit_run()
    request[PRINCIPAL] = Principal(actor=f"webhook:{webhook.id}", scopes=frozenset())
    given = await body(request, dict[str, Any])
    check_size("The body", given)
    order = runs.Order(
        deployment=deployment_id,
        environment=webhook.environment,
        input=given,
        idempotency=idempotency(request, msgspec.json.encode(given, order="deterministic")),
    )
    accepted = await runs.request(service.log, service.blobs, order, author(request))
    status = await _status_soon(request, accepted.run_id)
    return answer(msgspec.structs.replace(accepted, status=status), 202)


def _count(request: web.Request, webhook_id: str) -> None:
    left = request[LEFT] = request.app[TOKENS].take(webhook_id, time.monotonic())
    if left.wait:
        raise RateLimited(
            f"This webhook takes {left.limit} requests in {left.window:g} s", retry_after=math.ceil(left.wait)
        )


async def _status_soon(request: web.Request, run_id: str) -> str:
    """How the run stands once it has started, or after a while, or when the server stops."""
    service = request.app[SERVICE]
    task = asyncio.current_task()
    assert task is not None
    service.streams.add(task)
    try:
        return (await come_to(service, run_id, START_SECONDS, lambda run: run.status != "pending")).status
    except asyncio.CancelledError:
        if not service.closing:
            raise
        return "pending"
    finally:
        service.streams.discard(task)
