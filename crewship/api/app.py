"""The routes, and who may take each. What each takes and gives stands in descriptions.py."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from aiohttp import web

from crewship.api import (
    audit,
    changes,
    console,
    deployments,
    erasures,
    events,
    incoming,
    keys,
    metrics,
    openapi,
    reading,
    retention,
    rows,
    runs,
    schedules,
    server,
    sessions,
    tables,
    threads,
    views,
    webhooks,
)
from crewship.api.bodies import LARGEST_BODY
from crewship.api.connections import refuse_expectation
from crewship.api.context import SERVICE, Service
from crewship.api.descriptions import ABOUT
from crewship.api.limits import DOORKEEPER, Buckets, Doorkeeper
from crewship.api.middleware import Handler, explain, guarded, identify, keep_past, share, sign
from crewship.api.reach import RunReach
from domain.access import Scope

SHUTDOWN_SECONDS = 5.0


class Route(NamedTuple):
    """A way in. `scope` is what a key needs; None: open to everybody, or checked by the handler itself.

    `of_runs` is what a run's own key reaches by it. `narrows` says that the handler itself looks at what a key is bound
    to, as it must where the path names nothing that has an owner; see reach.py.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    scope: Scope | None
    of_runs: RunReach = "itself"
    narrows: bool = False


DEPLOYMENT = "/v1/deployments/{deployment}"
RUN = "/v1/runs/{run_id}"
THREAD = "/v1/threads/{thread_id}"
WEBHOOKS = f"{DEPLOYMENT}/webhooks"
SCHEDULES = f"{DEPLOYMENT}/schedules"
SCHEDULE = f"{SCHEDULES}/{{schedule_id}}"
WEBHOOK = f"{WEBHOOKS}/{{webhook_id}}"
TABLE = "/v1/tables/{table}"

ROUTES = (
    Route("GET", "/healthz", server.alive, None),
    Route("GET", "/readyz", server.ready, None),
    Route("GET", "/openapi.json", server.openapi, None),
    Route("GET", "/docs", server.docs, None),
    Route("GET", "/metrics", metrics.metrics, None),
    Route("POST", "/v1/session", sessions.create, None),
    Route("GET", "/v1/session", sessions.get, "read", narrows=True),
    Route("DELETE", "/v1/session", sessions.delete, "read", narrows=True),
    Route("GET", "/v1/changes", changes.stream, "read", narrows=True),
    Route("POST", "/v1/deployments", deployments.create, "deploy"),
    Route("GET", "/v1/deployments", deployments.listing, "read", narrows=True),
    Route("GET", DEPLOYMENT, deployments.get, "read"),
    Route("DELETE", DEPLOYMENT, deployments.delete, "deploy"),
    Route("POST", f"{DEPLOYMENT}/versions", deployments.upload, "deploy"),
    Route("GET", f"{DEPLOYMENT}/versions", deployments.versions, "read"),
    Route("POST", f"{DEPLOYMENT}/rollback", deployments.roll_back, "deploy"),
    Route("POST", f"{DEPLOYMENT}/promote", deployments.promote, "deploy"),
    Route("GET", f"{DEPLOYMENT}/env", deployments.variables, "read"),
    Route("PUT", f"{DEPLOYMENT}/env", deployments.set_variables, "deploy"),
    Route("DELETE", f"{DEPLOYMENT}/env/{{name}}", deployments.unset_variable, "deploy"),
    Route("GET", "/v1/versions/{version_id}", deployments.version, "read"),
    Route("GET", "/v1/versions/{version_id}/events", events.version_events, "read"),
    Route("POST", "/v1/runs", runs.create, "run", narrows=True),
    Route("GET", "/v1/runs", runs.listing, "read", narrows=True),
    Route("GET", RUN, runs.get, "read"),
    Route("GET", f"{RUN}/wait", runs.wait, "read"),
    Route("POST", f"{RUN}/cancel", runs.cancel, "run"),
    Route("POST", f"{RUN}/rerun", runs.rerun, "run"),
    Route("GET", f"{RUN}/events", events.run_events, None),
    Route("POST", f"{RUN}/stream-token", events.stream_token, "read"),
    Route("DELETE", f"{RUN}/data", erasures.erase_run, "admin"),
    Route("GET", f"{RUN}/artifacts", runs.artifacts, "read"),
    Route("GET", f"{RUN}/artifacts/{{name:.+}}", runs.artifact, "read"),
    Route("POST", "/v1/threads", threads.create, "run", narrows=True),
    Route("GET", "/v1/threads", threads.listing, "read", narrows=True),
    Route("GET", THREAD, threads.get, "read"),
    Route("PATCH", THREAD, threads.patch, "run"),
    Route("DELETE", THREAD, threads.delete, "run"),
    Route("POST", f"{THREAD}/copy", threads.copy, "run"),
    Route("POST", f"{THREAD}/runs", threads.run, "run"),
    Route("GET", f"{THREAD}/history", threads.history, "read"),
    Route("GET", f"{THREAD}/checkpoints", threads.checkpoints, "read", "its thread"),
    Route("GET", f"{THREAD}/state", threads.state, "read"),
    Route("POST", f"{THREAD}/state", threads.edit, "run"),
    Route("DELETE", f"{THREAD}/data", erasures.erase_thread, "admin"),
    Route("GET", "/v1/retention", retention.get, "admin"),
    Route("PUT", "/v1/retention", retention.put, "admin"),
    Route("DELETE", "/v1/retention", retention.delete, "admin"),
    Route("GET", f"{DEPLOYMENT}/retention", retention.get_own, "admin"),
    Route("PUT", f"{DEPLOYMENT}/retention", retention.put_own, "admin"),
    Route("DELETE", f"{DEPLOYMENT}/retention", retention.delete_own, "admin"),
    Route("POST", WEBHOOKS, webhooks.create, "deploy"),
    Route("GET", WEBHOOKS, webhooks.listing, "read"),
    Route("GET", WEBHOOK, webhooks.get, "read"),
    Route("PATCH", WEBHOOK, webhooks.change, "deploy"),
    Route("DELETE", WEBHOOK, webhooks.delete, "deploy"),
    Route("POST", f"{WEBHOOK}/rotate", webhooks.rotate, "deploy"),
    Route("POST", f"{WEBHOOK}/resume", webhooks.resume, "deploy"),
    Route("POST", f"{WEBHOOK}/test", webhooks.test, "deploy"),
    Route("GET", f"{WEBHOOK}/deliveries", webhooks.deliveries, "read"),
    Route("GET", f"{WEBHOOK}/deliveries/{{delivery_id}}", webhooks.delivery, "read"),
    Route("POST", f"{WEBHOOK}/deliveries/{{delivery_id}}/redeliver", webhooks.redeliver, "deploy"),
    Route("POST", SCHEDULES, schedules.create, "deploy"),
    Route("GET", SCHEDULES, schedules.listing, "read"),
    Route("GET", SCHEDULE, schedules.get, "read"),
    Route("PATCH", SCHEDULE, schedules.change, "deploy"),
    Route("DELETE", SCHEDULE, schedules.delete, "deploy"),
    Route("POST", f"{SCHEDULE}/pause", schedules.pause, "deploy"),
    Route("POST", f"{SCHEDULE}/resume", schedules.resume, "deploy"),
    Route("GET", f"{SCHEDULE}/history", schedules.history, "read"),
    Route("POST", "/webhooks/runs/{token}", incoming.start_run, None),
    Route("GET", "/v1/events", audit.listing, "admin"),
    Route("GET", "/v1/audit/head", audit.head, "admin"),
    Route("POST", "/v1/audit/seal", audit.seal, "admin"),
    Route("GET", "/v1/audit/verify", audit.verification, "admin"),
    Route("POST", "/v1/tables", tables.create, "deploy", narrows=True),
    Route("GET", "/v1/tables", tables.listing, "read", "tables", narrows=True),
    Route("GET", TABLE, tables.get, "read", "tables"),
    Route("PATCH", TABLE, tables.patch, "deploy"),
    Route("DELETE", TABLE, tables.delete, "deploy"),
    Route("POST", f"{TABLE}/rows", rows.create, "run", "tables"),
    Route("GET", f"{TABLE}/rows", rows.listing, "read", "tables"),
    Route("GET", f"{TABLE}/rows/{{row_id}}", rows.get, "read", "tables"),
    Route("PATCH", f"{TABLE}/rows/{{row_id}}", rows.patch, "run", "tables"),
    Route("DELETE", f"{TABLE}/rows/{{row_id}}", rows.delete, "run", "tables"),
    Route("GET", "/v1/views", views.get, "admin"),
    Route("POST", "/v1/views/rebuild", views.rebuild, "admin"),
    Route("POST", "/v1/api-keys", keys.create, "admin"),
    Route("GET", "/v1/api-keys", keys.listing, "admin"),
    Route("DELETE", "/v1/api-keys/{key_id}", keys.revoke, "admin"),
)

PAGES = (
    Route("GET", "/", console.page, None),
    Route("GET", "/favicon.ico", console.icon, None),
    Route("GET", "/console/{digest}/{name:.+}", console.asset, None),
)
"""The console's own files: no part of the API."""


def build(service: Service) -> web.Application:
    """The application over a service's parts."""
    application = web.Application(middlewares=[identify, share, explain, keep_past], client_max_size=LARGEST_BODY)
    application[SERVICE] = service
    application[DOORKEEPER] = Doorkeeper(service.keys, service.settings.rate_limit)
    application[events.FRAMES] = events.Frames()
    service.log.when_forgotten(application[events.FRAMES].clear)
    application[server.DESCRIPTION] = description()
    application[incoming.TOKENS] = Buckets(incoming.EACH_TOKEN)
    application[console.ASSETS] = console.Assets.load()
    for route in (*ROUTES, *PAGES):
        handler: Handler = route.handler if route.scope is None else _guarded(route, route.scope)
        application.router.add_route(route.method, route.path, handler, expect_handler=refuse_expectation)
    application.on_response_prepare.append(sign)
    application.cleanup_ctx.append(metrics.counting)
    application.on_shutdown.append(end_streams)
    return application


def _guarded(route: Route, scope: Scope) -> Handler:
    return guarded(route.handler, scope, route.of_runs, route.narrows)


def description() -> server.Description:
    """The table above, described."""
    document = openapi.build(ROUTES, ABOUT)
    return server.Description(msgspec.json.encode(document), reading.page(document))


async def end_streams(application: web.Application) -> None:
    """End every stream, so that its client comes back elsewhere or later with the id it has."""
    service = application[SERVICE]
    service.closing = True
    for task in list(service.streams):
        task.cancel()
