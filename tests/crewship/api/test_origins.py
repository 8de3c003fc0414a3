"""Pages of other origins."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server import ServerProcess

ALLOWED = "https://app.example"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data: Path = tmp_path_factory.mktemp("origins") / "data"
    server = ServerProcess(data, CREWSHIP_CORS_ORIGINS=ALLOWED).start()
    with server.client() as client:
        yield client
    server.stop()


def test_a_page_of_an_allowed_origin_may_ask_and_read(client: httpx.Client):
    asked = {"Origin": ALLOWED, "Access-Control-Request-Method": "POST"}
    preflight = client.options("/v1/runs", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert "Last-Event-ID" in preflight.headers["Access-Control-Allow-Headers"]
    for path in ("/v1/runs", "/v1/runs/run_0/events", "/nowhere"):
        answer = client.get(path, headers={"Origin": ALLOWED})
        assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED
        assert answer.headers["Vary"] == "Origin"


def test_a_page_of_another_origin_may_not(client: httpx.Client):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (client.options("/v1/runs", headers=asked), client.get("/v1/runs", headers=asked)):
        assert "Access-Control-Allow-Origin" not in answer.headers
