"""What every handler works with."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from crewship.addresses import Reach
from crewship.blobs import BlobStore
from crewship.commands.keys import Keys, Principal
from crewship.config import Settings
from crewship.eventlog import Author, EventLog
from crewship.views import Views
from domain.errors import BadRequest, Unavailable

READ_WAIT_SECONDS = 1.0
POSITION_HEADER = "Crewship-Position"


@dataclass(slots=True)
class Service:
    """The parts of the server that the API speaks to."""

    settings: Settings
    log: EventLog
    views: Views
    blobs: BlobStore
    keys: Keys
    check_snapshot: Callable[[Path], Any]
    """Checks an uploaded project, blocking; see engine/snapshots.py."""
    unhealthy: Callable[[], str | None]
    """Why the server is not ready, if it is not."""
    reach: Reach
    """Which addresses may be told of runs."""
    seal: Callable[[], Awaitable[object]]
    """Seals what was appended until now."""
    waiting: Callable[[], int] = lambda: 0
    """How many runs wait for their turn."""
    closing: bool = False
    runs_only: str | None = None
    """An address of ours at which the keys of runs are taken and no others."""
    streams: set["asyncio.Task[Any]"] = field(default_factory=set)

    def admit(self) -> None:
        """Raises Unavailable if no new work is taken."""
        if self.closing:
            raise Unavailable("The server is shutting down")

    def admit_run(self) -> None:
        """Raises Unavailable if no more runs are taken: what waits must be bounded, or nothing is."""
        self.admit()
        if (waiting := self.waiting()) >= self.settings.queue:
            raise Unavailable(f"{waiting} runs wait for their turn already (CREWSHIP_QUEUE); try again later")


SERVICE = web.AppKey("service", Service)
PRINCIPAL = web.RequestKey("principal", Principal)
REQUEST_ID = web.RequestKey("request_id", str)
STARTED = web.RequestKey("started", float)
"""By the loop's clock."""
CLIENT = web.RequestKey("client", str)
"""From where the request comes."""


def author(request: web.Request) -> Author:
    """Who makes the change that this request asks for."""
    return Author(by=request[PRINCIPAL].actor, request_id=request[REQUEST_ID], address=address(request))


def address(request: web.Request) -> str | None:
    """From where the request comes; what a proxy says of it counts only where the operator trusts that proxy."""
    trusted = request.app[SERVICE].settings.trusted_proxies
    nearest = request.remote
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        if nearest is None or not _within(nearest, trusted):
            break
        try:
            nearest = str(ipaddress.ip_address(hop.strip()))
        except ValueError:
            break
    return nearest


def _within(host: str, networks: tuple[str, ...]) -> bool:
    return any(ipaddress.ip_address(host) in ipaddress.ip_network(network) for network in networks)


async def fresh_views(request: web.Request) -> Views:
    """The views, holding all that this server has appended or may have streamed, and what the client saw elsewhere.

    Waits at most a second; raises Unavailable then.
    """
    service = request.app[SERVICE]
    position = max(service.log.appended, service.log.head)
    if (seen := request.headers.get(POSITION_HEADER)) is not None:
        if not seen.isascii() or not seen.isdigit() or len(seen) > 18:
            raise BadRequest(f"{POSITION_HEADER}: not a position")
        position = max(position, int(seen))
    await service.views.reached(position, READ_WAIT_SECONDS)
    return service.views
