"""How the server's answers, and its silence, become results and errors."""

import socket
from typing import Any

import pytest
from aiohttp import web

from crewship.cli.client import Client
from crewship.cli.errors import CommandError, Mistake, NoServer, Refused


def test_an_answer_is_its_json_and_an_empty_one_is_nothing(server: Any) -> None:
    server.answers("GET", "/v1/runs", {"runs": []})
    assert server.client().get("runs", status=None, limit=3) == {"runs": []}
    method, path, headers = server.asked[0]
    assert (method, path, headers["Authorization"]) == ("GET", "/v1/runs?limit=3", "Bearer csk_test")

    @server.on("DELETE", "/v1/deployments/x")
    async def deleted(_: web.Request) -> web.Response:
        return web.Response(status=204)

    assert server.client().delete("deployments", "x") is None


def test_a_refusal_carries_the_servers_words(server: Any) -> None:
    server.answers("POST", "/v1/runs", {"error": {"message": "deployment_id is required", "code": "bad_request"}}, 400)
    with pytest.raises(Refused, match=r"^deployment_id is required$") as caught:
        server.client().post("runs")
    assert (caught.value.status, caught.value.code) == (400, "bad_request")


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "run `crewship login`"), (403, "scopes"), (503, "try again in a moment")]
)
def test_a_refusal_says_what_to_do_next(server: Any, status: int, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crewship.cli.client.PATIENCE", 0)
    server.answers("GET", "/v1/runs", {"error": {"message": "No", "code": "x"}}, status)
    with pytest.raises(Refused, match=hint):
        server.client().get("runs")


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b'{"error": "x"}', b"[]", b""])
def test_an_error_in_another_shape_is_one_all_the_same(server: Any, body: bytes) -> None:
    @server.on("GET", "/v1/runs")
    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=502, body=body)

    with pytest.raises(Refused, match="the server answered 502 Bad Gateway"):
        server.client().get("runs")


def test_a_server_that_is_not_ready_is_asked_again(server: Any) -> None:
    statuses = [503, 503, 200]

    @server.on("POST", "/v1/runs")
    async def starting(request: web.Request) -> web.Response:
        assert await request.json() == {"input": {}}
        return web.json_response({"run_id": "run_1"}, status=statuses.pop(0))

    assert server.client().post("runs", body={"input": {}}) == {"run_id": "run_1"}
    assert statuses == []


def test_an_upload_is_streamed_with_its_length_and_anew_for_another_try(server: Any) -> None:
    seen = []

    @server.on("POST", "/v1/deployments/x/versions")
    async def receive(request: web.Request) -> web.Response:
        seen.append((request.headers["Content-Length"], request.headers.get("Transfer-Encoding"), await request.read()))
        return web.json_response({}, status=503 if len(seen) == 1 else 202)

    server.client().upload("deployments", "x", "versions", content=lambda: iter([b"ab", b"c"]), length=3, params={})
    assert seen == [("3", None, b"abc")] * 2


def test_no_server_says_how_to_start_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    client = Client(url, None)
    with pytest.raises(NoServer, match=rf"no server answers at {url}: start one with `crewship serve` or set CREW"):
        client.get("runs")
    client.http.close()


def test_another_page_is_no_server_of_ours(server: Any) -> None:
    @server.on("GET", "/v1/runs")
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    with pytest.raises(CommandError, match="does not answer like a Crewship server"):
        server.client().get("runs")


@pytest.mark.parametrize("url", ["127.0.0.1:4700", "ftp://host", "", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Mistake, match="is not the address of a server"):
        Client(url, None)


@pytest.mark.parametrize("key", ["é", "a\nb", "a b"])
def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    with pytest.raises(Mistake, match="the API key holds characters"):
        Client("http://127.0.0.1", key)


def test_a_server_on_this_machine_is_not_asked_through_a_proxy(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.answers("GET", "/v1/runs", {"runs": []})
    assert server.client().get("runs") == {"runs": []}


def test_ids_are_quoted(server: Any) -> None:
    with pytest.raises(Refused):
        server.client().get("runs", "a/b?c#d")
    assert server.asked[0][1] == "/v1/runs/a%2Fb%3Fc%23d"
