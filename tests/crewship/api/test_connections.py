"""Connections that ask for nothing are closed."""

import asyncio

import pytest
from aiohttp import web

from crewship.api import connections


async def test_half_a_header_does_not_hold_a_connection_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.1)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    assert runner.server is not None
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sweeper = asyncio.create_task(connections.sweep(runner.server))
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    outgoing.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow")
    async with asyncio.timeout(30):
        assert await incoming.read() == b""
    assert not sweeper.done()
    outgoing.close()
    await outgoing.wait_closed()
    sweeper.cancel()
    await asyncio.gather(sweeper, return_exceptions=True)
    await runner.cleanup()
