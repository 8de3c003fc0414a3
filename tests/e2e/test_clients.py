"""Stream clients that we did not write, across a server that is killed under them."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import httpx_sse
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.server import ADMIN_KEY, Api, ServerProcess

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".data" / "test-cache-npm"
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def node_clients() -> Path:
    """The folder with the clients for Node and what they need."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(HERE / "clients" / name, CACHE / name)
    subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"], cwd=CACHE, check=True, capture_output=True
    )
    return CACHE


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves the page without telling every request."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def page_origin() -> Iterator[str]:
    """Where the page of the tests is served: an origin that is not the server's."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(HERE)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    """A page of a real Chromium. For one module: Playwright keeps an event loop running, which others could not."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_OPTIONS)
        yield browser.new_page()
        browser.close()


def read_with_httpx_sse(server: ServerProcess, url: str, seen: list[str]) -> None:
    """As httpx-sse's own documentation reads: reconnect with the last id until the stream has ended."""
    ended = False
    with server.client() as client:
        while not ended:
            headers = {"Last-Event-ID": seen[-1]} if seen else {}
            try:
                with httpx_sse.connect_sse(client, "GET", url, headers=headers) as source:
                    for event in source.iter_sse():
                        seen.append(event.id)
                        ended = event.event == "run.completed"
            except httpx.HTTPError:
                threading.Event().wait(0.1)


def test_every_client_sees_each_event_once_across_a_crash(
    tmp_path: Path, node_clients: Path, page_origin: str, chromium: Page
):
    server = ServerProcess(tmp_path / "data", CREWSHIP_CORS_ORIGINS=page_origin).start()
    with server.client() as client:
        api = Api(client)
        api.deploy("probe")
        run_id = api.start("probe", ["slowly", 160, 0.05])
        token = client.post(f"/v1/runs/{run_id}/stream-token").json()["token"]
    url = f"/v1/runs/{run_id}/events"
    unnamed = f"{server.url}{url}?named=false"

    def node(library: str) -> "subprocess.Popen[str]":
        command = ["node", "client.mjs", library, unnamed, ADMIN_KEY]
        return subprocess.Popen(command, cwd=node_clients, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    old, new = node("eventsource2"), node("eventsource")
    by_httpx: list[str] = []
    reader = threading.Thread(target=read_with_httpx_sse, args=(server, url, by_httpx))
    reader.start()
    chromium.goto(f"{page_origin}/page.html")
    chromium.evaluate("url => follow(url)", f"{unnamed}&access_token={token}")
    chromium.wait_for_function("seen.length > 20", timeout=60_000)
    server.kill()
    server.start()
    reader.join(90)
    printed = [process.communicate(timeout=100) for process in (old, new)]
    chromium.wait_for_function("source.readyState === EventSource.CLOSED", timeout=90_000)
    with server.client() as client:
        whole = [event["id"] for event in Api(client).events(url)]
    server.stop()
    assert len(whole) > 160
    assert by_httpx == whole
    assert [output.split() for output, _ in printed] == [whole, whole], [errors for _, errors in printed]
    assert chromium.evaluate("seen") == whole


def test_a_browser_hears_named_events_by_their_names(
    tmp_path: Path, page_origin: str, chromium: Page, request: pytest.FixtureRequest
):
    server = ServerProcess(tmp_path / "data", CREWSHIP_CORS_ORIGINS=page_origin).start()
    with server.client() as client:
        api = Api(client)
        api.deploy("probe")
        run = api.run("probe", ["count", 5])
        token = client.post(f"/v1/runs/{run['id']}/stream-token").json()["token"]
        logs = [event["id"] for event in api.events(f"/v1/runs/{run['id']}/events?types=log")]
    chromium.goto(f"{page_origin}/page.html")
    chromium.evaluate("url => follow(url)", f"{server.url}/v1/runs/{run['id']}/events?access_token={token}")
    chromium.wait_for_function("source.readyState === EventSource.CLOSED", timeout=60_000)
    assert chromium.evaluate("named") == logs
    assert chromium.evaluate("seen") == []
    server.stop()
