"""Rate limits, wrong keys, the access log: on a server that allows little."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from crewship.api import limits
from crewship.api.access_log import AccessLog
from crewship.api.limits import Buckets, neighbourhood
from crewship.config import RateLimit
from tests.server import ADMIN_KEY, ServerProcess

ORIGIN = "https://app.example"
MOST = 20


def test_a_bucket_takes_a_burst_and_then_keeps_the_average():
    buckets = Buckets(RateLimit(3, 30.0))
    assert [buckets.take("a", 100.0).remaining for _ in range(3)] == [2, 1, 0]
    refused = buckets.take("a", 100.0)
    assert (refused.wait, refused.remaining, refused.full_in) == (10.0, 0, 30.0)
    assert buckets.take("b", 100.0).remaining == 2
    assert buckets.take("a", 105.0).wait == 5.0
    assert buckets.take("a", 110.0).wait == 0
    assert buckets.take("a", 1000.0).remaining == 2


def test_only_so_many_buckets_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "MOST_KEPT", 2)
    buckets = Buckets(RateLimit(1, 60.0))
    for name in "abc":
        buckets.take(name, 0.0)
    assert [bool(buckets.look(name, 0.0, taking=1).wait) for name in "abc"] == [False, True, True]


def test_an_ipv6_customer_is_one_client():
    assert neighbourhood("2001:db8:1:2:3::4") == neighbourhood("2001:db8:1:2:5::6") != neighbourhood("2001:db8:1:3::4")
    assert neighbourhood("10.0.0.1") == "10.0.0.1"


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder: Path = tmp_path_factory.mktemp("little")
    environment = {
        "CREWSHIP_RATE_LIMIT": f"{MOST}/h",
        "CREWSHIP_CORS_ORIGINS": ORIGIN,
        "CREWSHIP_ACCESS_LOG": str(folder / "access.log"),
    }
    process = ServerProcess(folder / "data", **environment).start()
    yield process
    assert process.stop() == 0, process.output()


def lines(server: ServerProcess, wanted: str) -> list[dict]:
    """The lines of the access log with that request id, once there is one."""
    deadline = time.monotonic() + 30
    while True:
        entries = [json.loads(line) for line in (server.data.parent / "access.log").read_text().splitlines()]
        if found := [entry for entry in entries if entry["request_id"] == wanted]:
            return found
        assert time.monotonic() < deadline, entries
        time.sleep(0.02)


def test_a_key_may_ask_so_often_and_is_told_how_often_still(little: ServerProcess):
    with little.client() as client:
        made = client.post("/v1/api-keys", json={"name": "busy", "scopes": ["read"]}).json()
    with little.client(made["key"]) as client:
        for number in range(MOST):
            answer = client.get("/v1/runs")
            assert answer.status_code == 200
            assert answer.headers["RateLimit-Limit"] == answer.headers["X-RateLimit-Limit"] == str(MOST)
            assert int(answer.headers["RateLimit-Remaining"]) == MOST - 1 - number
        refused = client.get("/v1/runs", headers={"Origin": ORIGIN})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
    wait = int(refused.headers["Retry-After"])
    assert 0 < wait <= 3600 / MOST
    assert wait < int(refused.headers["RateLimit-Reset"]) <= 3600
    assert abs(int(refused.headers["X-RateLimit-Reset"]) - time.time() - 3600) < 600
    # A page of an allowed origin may read all that, of errors as well.
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "RateLimit-Remaining" in refused.headers["Access-Control-Expose-Headers"]
    with little.client() as client:
        assert client.get("/v1/runs").status_code == 200


def test_who_guesses_keys_is_slowed_and_who_is_known_there_is_not(little: ServerProcess):
    def at(address: str) -> httpx.Client:
        return httpx.Client(base_url=little.url, transport=httpx.HTTPTransport(local_address=address))

    def ask(client: httpx.Client, key: str) -> int:
        return client.get("/v1/versions/ver_0", headers={"Authorization": f"Bearer {key}"}).status_code

    with at("127.0.0.2") as there, at("127.0.0.3") as elsewhere:
        assert ask(there, ADMIN_KEY) == 404
        statuses = [ask(there, f"guess-{number}") for number in range(limits.WRONG_KEYS.requests + 60)]
        assert set(statuses) == {401, 429}
        assert statuses.count(401) >= limits.WRONG_KEYS.requests
        assert ask(there, ADMIN_KEY) == 404
        assert ask(elsewhere, "guess") == 401


def test_the_access_log_tells_who_asked_what_and_never_a_secret(little: ServerProcess):
    secret = "run_0.9999999999.proof-of-nothing"
    with little.client() as client:
        client.get("/v1/runs?limit=1", headers={"X-Request-Id": "seen-1"})
        client.get(f"/v1/runs/run_0/events?access_token={secret}", headers={"X-Request-Id": "seen-2"})
        client.post("/webhooks/runs/whk_secret/more", headers={"X-Request-Id": "seen-3"})
    (first,) = lines(little, "seen-1")
    assert {name: first[name] for name in ("method", "path", "status", "actor", "client")} == {
        "method": "GET",
        "path": "/v1/runs",
        "status": 200,
        "actor": "key:operator",
        "client": "127.0.0.1",
    }
    assert first["bytes"] > len('{"runs":[]}')
    assert first["ms"] > 0
    (second,) = lines(little, "seen-2")
    assert (second["status"], second["actor"]) == (401, None)
    (third,) = lines(little, "seen-3")
    assert (third["status"], third["path"]) == (404, "/webhooks/runs/***/more")
    text = (little.data.parent / "access.log").read_text()
    for hidden in (secret, ADMIN_KEY, "whk_secret"):
        assert hidden not in text


def test_a_line_that_finds_no_room_is_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("crewship.api.access_log.MOST_WAITING", 1)
    log = AccessLog(str(tmp_path / "access.log"))
    log._thread.stop()
    log._door.handle(logging.makeLogRecord({"msg": "1"}))
    log._door.handle(logging.makeLogRecord({"msg": "2"}))
    assert log._door.left_out == 1
    log._thread.start()
    log.close()
    assert (tmp_path / "access.log").read_text() == "1\n"


def raw(server: ServerProcess, sent: bytes) -> tuple[bytes, bytes]:
    """The head and the body of what comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        got = b""
        while piece := connection.recv(65536):
            got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\nConnection: close\r\n\r\n",
    ],
    ids=["header", "target", "word", "tls", "name", "expectation"],
)
def test_what_is_no_request_is_refused_in_json(little: ServerProcess, sent: bytes):
    head, body = raw(little, sent)
    assert head.startswith(b"HTTP/1.1 400 ") or head.startswith(b"HTTP/1.0 400 "), head
    assert b"application/json" in head
    error = json.loads(body)["error"]
    assert error["code"] == "bad_request"
    assert error["request_id"].encode() in head
    assert lines(little, error["request_id"])[0]["status"] == 400


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(RuntimeError, match="CREWSHIP_ACCESS_LOG"):
        ServerProcess(tmp_path / "data", CREWSHIP_ACCESS_LOG=str(tmp_path)).start()
