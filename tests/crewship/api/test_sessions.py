"""Signing in to the console: a cookie in a key's place, and no more than the key."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.server import ADMIN_KEY, Api, ServerProcess, parse

CONSOLE = {"X-Crewship-Console": "1"}


@contextmanager
def sign_in(server: ServerProcess, key: str = ADMIN_KEY) -> Iterator[httpx.Client]:
    with server.client(None) as client:
        answer = client.post("/v1/session", json={"api_key": key}, headers=CONSOLE)
        assert answer.status_code == 201, answer.text
        yield client


def make_key(api: Api, *scopes: str, name: str = "ada") -> Any:
    answer = api.client.post("/v1/api-keys", json={"name": name, "scopes": scopes})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_the_cookie_is_kept_from_scripts_and_other_sites(server: ServerProcess):
    with server.client(None) as client:
        answer = client.post("/v1/session", json={"api_key": ADMIN_KEY}, headers=CONSOLE)
    assert answer.json()["scopes"] == ["admin", "deploy", "run", "read"]
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ADMIN_KEY not in cookie


def test_a_session_sees_what_its_key_sees_and_streams_too(api: Api, server: ServerProcess):
    run = api.run("probe", ["count", 1])
    with sign_in(server, make_key(api, "read")["key"]) as client:
        assert client.get("/v1/session").json() == {"name": "ada", "actor": "console:ada", "scopes": ["read"]}
        assert client.get(f"/v1/runs/{run['id']}").status_code == 200
        events = parse(iter(client.get(f"/v1/runs/{run['id']}/events").text.splitlines()))
        assert [event["event"] for event in events][-1] == "run.completed"
        refused = client.post("/v1/runs", json={"deployment_id": "probe"}, headers=CONSOLE)
        assert refused.status_code == 403


def test_a_session_changes_nothing_without_the_header_that_no_other_site_can_set(api: Api, server: ServerProcess):
    with sign_in(server) as client:
        refused = client.post("/v1/runs", json={"deployment_id": "probe"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        assert client.delete("/v1/session").status_code == 403
        assert client.post("/v1/runs", json={"deployment_id": "probe"}, headers=CONSOLE).status_code == 202
    with server.client(None) as client:
        assert client.post("/v1/session", json={"api_key": ADMIN_KEY}).status_code == 403


def test_a_session_ends_with_its_key(api: Api, server: ServerProcess):
    key = make_key(api, "read")
    with sign_in(server, key["key"]) as client:
        assert client.get("/v1/runs").status_code == 200
        assert api.client.delete(f"/v1/api-keys/{key['id']}").status_code == 204
        assert client.get("/v1/runs").status_code == 401


def test_signing_out_takes_the_cookie_back(server: ServerProcess):
    with sign_in(server) as client:
        assert client.delete("/v1/session", headers=CONSOLE).status_code == 204
        assert client.get("/v1/session").status_code == 401


@pytest.mark.parametrize("changed", ["operator.9999999999.0", "", "x.y.z", "operator"])
def test_a_session_that_this_server_did_not_sign_opens_nothing(server: ServerProcess, changed: str):
    with server.client(None, cookies={"crewship_session": changed}) as client:
        assert client.get("/v1/runs").status_code == 401


def test_a_session_cannot_be_given_a_longer_life_or_another_key(server: ServerProcess):
    with sign_in(server) as client:
        key_id, expires, proof = client.cookies["crewship_session"].split(".")
    for forged in (f"{key_id}.{int(expires) + 1}.{proof}", f"key_0.{expires}.{proof}"):
        with server.client(None, cookies={"crewship_session": forged}) as client:
            assert client.get("/v1/runs").status_code == 401


def test_the_keys_of_runs_do_not_sign_in(api: Api):
    step = ["ask_api", "/v1/session"]
    assert api.run("probe", step)["output"]["said"] == 403


def test_the_log_names_who_was_at_the_console(api: Api, server: ServerProcess):
    with sign_in(server, make_key(api, "run", name="Grace")["key"]) as client:
        assert client.get("/v1/session").json()["actor"] == "console:Grace"


def test_the_bell_says_what_changes(api: Api, server: ServerProcess):
    heard: list[str] = []
    rung = threading.Event()

    def listen() -> None:
        with server.client() as client, client.stream("GET", "/v1/changes") as response:
            for line in response.iter_lines():
                if line == ": connected":
                    rung.set()
                if line.startswith("data: "):
                    heard.append(line)
                if "run_" in line:
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    assert rung.wait(30)
    run_id = api.start("probe")
    listener.join(30)
    assert any(f'"{run_id}"' in line for line in heard)
    api.wait(run_id)
