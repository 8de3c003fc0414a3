"""Connections that ask for nothing: aiohttp waits for the first header for ever, we do not."""

import asyncio
from typing import Any

from aiohttp import web

LOOK_SECONDS = 10.0
IDLE_SECONDS = 75.0


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
