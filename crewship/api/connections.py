"""Connections that ask for nothing: aiohttp waits for the first header for ever, we do not."""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

LOOK_SECONDS = 10.0
IDLE_SECONDS = 75.0


async def sweep(server: web.Server) -> None:
    """Close connections on which no request has been under way for a while: half a header, or nothing at all."""
    idle_since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = loop.time()
        for connection in list(server.connections):
            # The request that a connection serves is the one thing that aiohttp keeps to itself.
            if getattr(connection, "_current_request", None) is not None:
                idle_since.pop(connection, None)
            elif now - idle_since.setdefault(connection, now) > IDLE_SECONDS:
                connection.force_close()
                if connection.transport is not None:
                    connection.transport.close()
