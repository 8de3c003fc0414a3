"""Connections: what is not yet a request, or no longer one.

aiohttp answers what it cannot parse in plain text; here such an answer is JSON as every other, and each answer is told
to those who watch. aiohttp waits for the first header for ever; we do not.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from crewship import ids
from crewship.api.context import REQUEST_ID
from crewship.api.middleware import REQUEST_ID_HEADER, problem

LOOK_SECONDS = 10.0
IDLE_SECONDS = 75.0

Watcher = Callable[[web.BaseRequest, web.StreamResponse], None]

logger = structlog.get_logger(__name__)


class Connection(web.RequestHandler):
    """One connection of a client."""

    def __init__(self, manager: "Connections", **options: Any) -> None:
        super().__init__(manager, **options)
        self._watchers = manager.watchers

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request, or what broke outside of every handler; the connection ends with it."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer was under way already")
        request_id = request.get(REQUEST_ID) or ids.new("req")
        request[REQUEST_ID] = request_id
        if isinstance(exc, LineTooLong):
            response = problem(request, 400, "bad_request", "The request line or a header is longer than 8190 bytes")
        elif status < 500:
            response = problem(request, 400, "bad_request", "This is not a request as HTTP has them")
        else:
            logger.error("a connection broke down", request_id=request_id, exc_info=exc)
            response = problem(request, 500, "internal", "Something went wrong on the server")
        response.headers.update({REQUEST_ID_HEADER: request_id, "Server": "Crewship"})
        response.force_close()
        return response

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        """Called by aiohttp when an answer has gone out."""
        for watch in self._watchers:
            watch(request, response)


class Connections(web.Server):
    """All connections of a server."""

    def __init__(self, made: web.Server, watchers: Sequence[Watcher]) -> None:
        super().__init__(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **made._kwargs,
        )
        self.watchers = tuple(watchers)

    def __call__(self) -> web.RequestHandler:
        """A connection begins."""
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application over such connections."""

    __slots__ = ("_watchers",)

    def __init__(self, application: web.Application, watchers: Sequence[Watcher], **options: Any) -> None:
        super().__init__(application, access_log=None, **options)
        self._watchers = watchers

    async def _make_server(self) -> web.Server:
        return Connections(await super()._make_server(), self._watchers)


async def refuse_expectation(request: web.Request) -> web.StreamResponse | None:
    """Expect: 100-continue gets what it asks for, anything else a clear no."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer has not begun
        return None
    request[REQUEST_ID] = ids.new("req")
    return problem(request, 400, "bad_request", "Expect: nothing but 100-continue is understood")


async def sweep(server: web.Server) -> None:
    """Close connections on which no request has been under way for a while: half a header, or nothing at all."""
    idle_since: dict[Any, float] = {}
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = loop.time()
        # The request that a connection serves is the one thing that aiohttp keeps to itself.
        idle = [one for one in server.connections if getattr(one, "_current_request", None) is None]
        idle_since = {connection: idle_since.get(connection, now) for connection in idle}
        for connection, since in idle_since.items():
            if now - since > IDLE_SECONDS:
                connection.force_close()
                if connection.transport is not None:
                    connection.transport.close()
