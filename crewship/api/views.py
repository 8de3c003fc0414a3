"""/v1/views: what reads are answered from, and making it anew."""

from typing import Any

from aiohttp import web

from crewship.api.context import SERVICE, Service
from crewship.api.middleware import answer
from projections.projection import text


async def get(request: web.Request) -> web.Response:
    """GET /v1/views: how far the views are, and how the last renewal went."""
    return answer(_shown(request.app[SERVICE]))


async def rebuild(request: web.Request) -> web.Response:
    """POST /v1/views/rebuild: begin to make the views anew from the log; GET /v1/views says how far it is.

    Requests are answered from the old ones until the new ones are as far. One that is under way is not begun twice.
    """
    service = request.app[SERVICE]
    service.views.renew()
    return answer(_shown(service), 202)


def _shown(service: Service) -> dict[str, Any]:
    renewal = service.views.renewal
    return {
        "position": service.views.position,
        "rebuild": renewal
        and {
            "state": renewal.state,
            "events": renewal.events,
            "position": renewal.position,
            "error": renewal.error,
            "started_at": text(renewal.started_at),
            "finished_at": text(renewal.finished_at),
        },
    }
