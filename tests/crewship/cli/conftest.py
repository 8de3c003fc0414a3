"""A small real HTTP server on loopback, and a command line that knows nothing of this machine's own settings."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from crewship.cli.client import Client
from crewship.cli.main import cli

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers as its routes say, and remembers what it was asked."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Handler] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.url = ""
        self.clients: list[Client] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def on(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """The handler of requests for that path."""

        def add(handler: Handler) -> Handler:
            self.routes[method, path] = handler
            return handler

        return add

    def answers(self, method: str, path: str, body: Any, status: int = 200) -> None:
        """Always the same answer."""

        async def handler(_: web.Request) -> web.Response:
            return web.json_response(body, status=status)

        self.routes[method, path] = handler

    def client(self) -> Client:
        """A client that does not rest between its tries."""
        client = Client(self.url, "csk_test", pause=lambda _: None)
        self.clients.append(client)
        return client

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs, dict(request.headers)))
        handler = self.routes.get((request.method, request.path))
        if handler is None:
            message = f"There is no {request.path}"
            return web.json_response({"error": {"message": message, "code": "not_found"}}, status=404)
        return await handler(request)

    def start(self) -> None:
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result()

    async def _start(self) -> None:
        self.runner = web.ServerRunner(web.Server(self.handle), shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    def stop(self) -> None:
        for client in self.clients:
            client.http.close()
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(autouse=True)
def _apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    for name in ("CREWSHIP_URL", "CREWSHIP_API_KEY", "CREWSHIP_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    server.start()
    monkeypatch.setenv("CREWSHIP_URL", server.url)
    monkeypatch.setenv("CREWSHIP_API_KEY", "csk_test")
    yield server
    server.stop()


@pytest.fixture
def crewship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, input: str | bytes | None = None) -> Result:  # noqa: A002
        return CliRunner().invoke(cli, arguments, input=input, prog_name="crewship")

    return run
