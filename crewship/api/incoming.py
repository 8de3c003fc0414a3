"""/webhooks/runs/{token}: whoever knows the token starts a run. No key."""

import asyncio
import time
from collections import OrderedDict
from typing import Any

import msgspec
from aiohttp import web

from crewship.api.bodies import body, check_size
from crewship.api.context import PRINCIPAL, SERVICE, author
from crewship.api.middleware import answer, refuse_where_only_runs_may
from crewship.api.runs import come_to, idempotency
from crewship.commands import runs, webhooks
from crewship.commands.keys import Principal
from domain.errors import RateLimited, Unavailable

START_SECONDS = 10.0
AT_ONCE = 60
EACH_SECOND = 1.0
MOST_REMEMBERED = 10_000


class Rates:
    """How much each token may still ask for: so many requests at once, and one more with every second."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Count one request; raises RateLimited, where a second's patience is enough."""
        now = time.monotonic()
        left, since = self._left.pop(name, (float(AT_ONCE), now))
        left = min(float(AT_ONCE), left + (now - since) * EACH_SECOND)
        self._left[name] = (max(left - 1, 0.0) if left >= 1 else left, now)
        while len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
        if left < 1:
            raise RateLimited(f"This webhook takes {AT_ONCE} requests at once and then one a second; slow down")


RATES = web.AppKey("rates of incoming webhooks", Rates)


async def start_run(request: web.Request) -> web.Response:
    """POST /webhooks/runs/{token}: start a run; the body is its input.

    Answers once the run has started, or after ten seconds with how it stands.
    """
    service = request.app[SERVICE]
    refuse_where_only_runs_may(request)
    deployment_id, webhook = await webhooks.by_token(service.log, request.match_info["token"])
    request.app[RATES].take(webhook.id)
    if service.closing:
        raise Unavailable("The server is shutting down")
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
