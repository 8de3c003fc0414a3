"""What the server says of itself: that it lives, that it is ready, what one may ask it."""

import asyncio
from typing import NamedTuple

from aiohttp import web

from crewship.api.context import SERVICE
from crewship.api.middleware import answer
from crewship.api.reading import POLICY
from domain.errors import Unavailable

PROBE_SECONDS = 5.0
KEPT = {"Cache-Control": "no-cache"}


class Description(NamedTuple):
    """The API described: for machines, and as a page."""

    document: bytes
    page: str


DESCRIPTION = web.AppKey("description", Description)


async def alive(_: web.Request) -> web.Response:
    """GET /healthz: the process serves."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """GET /readyz: the server takes work."""
    service = request.app[SERVICE]
    why = "shutting down" if service.closing else service.unhealthy()
    if why:
        raise Unavailable(f"Not ready: {why}")
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await service.log.probe()
    except TimeoutError:
        raise Unavailable("Not ready: the log does not answer") from None
    return answer({"status": "ready", "position": service.log.head})


async def openapi(request: web.Request) -> web.Response:
    """GET /openapi.json: this description, for machines."""
    return web.Response(body=request.app[DESCRIPTION].document, content_type="application/json", headers=KEPT)


async def docs(request: web.Request) -> web.Response:
    """GET /docs: this description, to read."""
    headers = {**KEPT, "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return web.Response(text=request.app[DESCRIPTION].page, content_type="text/html", headers=headers)
