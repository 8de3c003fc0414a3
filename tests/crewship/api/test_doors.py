"""Every route of the router, and everybody who might stand before it: what opens is what the table says, no more.

Each kind of visitor comes from an address of its own, so that their wrong keys do not slow each other.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from crewship.api.app import ROUTES
from crewship.api.descriptions import ABOUT
from domain.access import IMPLIED
from tests.server import Api, ServerProcess

PLACE = re.compile(r"\{(\w+)(?::[^}]*)?\}")
GUARDED = [route for route in ROUTES if not ABOUT[route.handler].open]
# Opened by a key, or by a token for one stream in the query: the handler looks at both.
BY_ITSELF = {"/v1/runs/{run_id}/events": "read", "/metrics": "read"}


def needed(route: Any) -> str:
    """The scope that a route needs."""
    return str(route.scope or BY_ITSELF[route.path])


def named(route: Any) -> str:
    return f"{route.method} {route.path}"


@contextmanager
def visitor(server: ServerProcess, number: int, **headers: str) -> Iterator[httpx.Client]:
    """A client from an address of its own."""
    transport = httpx.HTTPTransport(local_address=f"127.0.1.{number}")
    # A proxy stands before it, so that what is open to this machine alone is not open to it.
    with httpx.Client(
        base_url=server.url, headers={"X-Forwarded-For": "203.0.113.9", **headers}, transport=transport, timeout=60
    ) as client:
        yield client


def code(client: httpx.Client, route: Any, **places: str) -> tuple[int, str | None]:
    """What a route answers to a request without sense."""
    path = PLACE.sub(lambda place: places.get(place[1], "nothing"), route.path)
    with client.stream(route.method, path, json={}) as answer:
        if answer.status_code < 400:
            return answer.status_code, None
        answer.read()
        return answer.status_code, answer.json()["error"]["code"]


def make_key(api: Api, *scopes: str, **more: str) -> dict[str, Any]:
    answer = api.client.post("/v1/api-keys", json={"name": "doors", "scopes": scopes, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_what_is_open_says_why():
    assert {route.path for route in ROUTES} - {route.path for route in GUARDED} == {
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/webhooks/runs/{token}",
    }


@pytest.mark.parametrize(
    ("number", "authorization"),
    [
        (1, None),
        (2, ""),
        (3, "Bearer"),
        (4, "Basic b3BlcmF0b3I6"),
        (5, "Bearer wrong"),
        (6, "Bearer csk_0_0"),
        (7, "Bearer csr_run_0_0"),
        (8, "Bearer csk_../key_1_1"),
    ],
)
def test_nobody_gets_in_without_a_right_key(server: ServerProcess, number: int, authorization: str | None):
    headers = {} if authorization is None else {"Authorization": authorization}
    with visitor(server, number, **headers) as client:
        assert {named(route): code(client, route) for route in GUARDED} == {
            named(route): (401, "unauthorized") for route in GUARDED
        }
        assert client.get("/v1/runs").headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scope", ["read", "run", "deploy"])
def test_a_key_reaches_as_far_as_its_scope(api: Api, server: ServerProcess, scope: str):
    with visitor(server, 10, Authorization=f"Bearer {make_key(api, scope)['key']}") as client:
        for route in GUARDED:
            refused = code(client, route) == (403, "forbidden")
            assert refused == (needed(route) not in IMPLIED[scope]), named(route)


def test_a_revoked_and_an_expired_key_open_nothing(api: Api, server: ServerProcess):
    revoked = make_key(api, "admin")
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
    expired = make_key(api, "admin", expires_at=soon)
    with visitor(server, 11, Authorization=f"Bearer {revoked['key']}") as client:
        assert client.get("/v1/runs").status_code == 200
        assert api.client.delete(f"/v1/api-keys/{revoked['id']}").status_code == 204
        assert {code(client, route) for route in GUARDED} == {(401, "unauthorized")}
    with visitor(server, 12, Authorization=f"Bearer {expired['key']}") as client:
        while client.get("/v1/runs").status_code == 200:
            pass
        assert {code(client, route) for route in GUARDED} == {(401, "unauthorized")}


def test_a_runs_key_opens_its_own_run_and_nothing_else(api: Api, server: ServerProcess):
    other = api.run("probe", ["say", 1])
    run_id = api.start("probe", ["print_env", "CREWSHIP_API_KEY"], ["sleep", 60])
    key = key_of(api, run_id)
    with visitor(server, 13, Authorization=f"Bearer {key}") as client:
        for route in GUARDED:
            if route.of_runs != "tables":  # which test_reach.py knows of
                assert code(client, route, run_id=other["id"])[0] in (401, 403), named(route)
        assert client.get(f"/v1/runs/{run_id}").status_code == 200
        assert client.post(f"/v1/runs/{run_id}/cancel").status_code == 403
        assert api.client.post(f"/v1/runs/{run_id}/cancel").status_code == 200
        assert {code(client, route, run_id=run_id) for route in GUARDED} == {(401, "unauthorized")}


def key_of(api: Api, run_id: str) -> str:
    """The run's own key, as its code prints it."""
    for event in api.events(f"/v1/runs/{run_id}/events"):
        if event["event"] == "log" and (found := re.search(r"csr_\w+", event["data"]["message"])):
            return found[0]
    raise AssertionError("the run did not say its key")


def test_a_stream_token_opens_one_stream(api: Api, server: ServerProcess):
    run, other = api.run("probe", ["say", 1]), api.run("probe", ["say", 2])
    token = api.client.post(f"/v1/runs/{run['id']}/stream-token").json()["token"]
    with visitor(server, 14) as client:
        for route in GUARDED:
            path = PLACE.sub(lambda place: other["id"] if place[1] == "run_id" else "nothing", route.path)
            assert client.request(route.method, path, params={"access_token": token}).status_code == 401, named(route)
        assert client.get(f"/v1/runs/{run['id']}/events", params={"access_token": token}).status_code == 200
        assert client.get(f"/v1/runs/{run['id']}", params={"access_token": token}).status_code == 401
        forged = token[:-1] + ("0" if token[-1] != "0" else "1")
        assert client.get(f"/v1/runs/{run['id']}/events", params={"access_token": forged}).status_code == 401
