"""/metrics, and what is counted for it."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from crewship import measures
from crewship.api.context import SERVICE, STARTED
from crewship.api.limits import client
from crewship.api.middleware import guarded
from crewship.eventlog import EventLog
from domain.event import Recorded
from domain.run import RunCanceled, RunFailed, RunRequested, RunSucceeded

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})
RETRY_SECONDS = 1.0

logger = structlog.get_logger(__name__)


async def metrics(request: web.Request) -> web.StreamResponse:
    """GET /metrics: what Prometheus reads.

    Open to this machine itself; elsewhere, or behind a proxy, a key with the scope `read` is needed.
    """
    return await (_shown(request) if _of_this_machine(request) else guarded(_shown, "read")(request))


async def _shown(_: web.Request) -> web.StreamResponse:
    return web.Response(
        body=generate_latest(measures.REGISTRY), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )


def _of_this_machine(request: web.Request) -> bool:
    if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP")):
        return False
    try:
        return ipaddress.ip_address(client(request)).is_loopback
    except ValueError:
        return False


def count(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Count a request that was answered, by its route and not by its path."""
    method = request.method if request.method in METHODS else "other"
    route = _route(request)
    measures.HTTP_REQUESTS.labels(method, route, str(response.status)).inc()
    if STARTED in request and response.content_type != "text/event-stream":
        measures.HTTP_SECONDS.labels(method, route).observe(asyncio.get_running_loop().time() - request[STARTED])


def _route(request: web.BaseRequest) -> str:
    # What never became a request was not routed, and asking it where to is an error.
    if not isinstance(request, web.Request) or STARTED not in request:
        return "none"
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


async def counting(application: web.Application) -> AsyncIterator[None]:
    """Count runs for as long as the application runs."""
    task = asyncio.create_task(_follow(application[SERVICE].log), name="run counter")
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _follow(log: EventLog) -> None:
    after = log.head
    while True:
        try:
            with log.follower(after) as follower:
                while True:
                    for recorded in await follower.next():
                        _count_run(recorded)
                    after = follower.after
        except Exception:  # the log is away: it is counted on from where it stopped
            logger.exception("runs cannot be counted; trying again", position=after)
            await asyncio.sleep(RETRY_SECONDS)


def _count_run(recorded: Recorded) -> None:
    match recorded.event:
        case RunRequested():
            measures.RUNS_CREATED.inc()
        case RunSucceeded():
            measures.RUNS_ENDED.labels("succeeded", "").inc()
        case RunFailed(reason=reason):
            measures.RUNS_ENDED.labels("failed", reason).inc()
        case RunCanceled():
            measures.RUNS_ENDED.labels("canceled", "").inc()
