"""Who may do what."""

import pytest

from crewship.api.app import ROUTES
from tests.server import Api, ServerProcess

CLOSED = [route for route in ROUTES if route.path.startswith("/v1")]


@pytest.mark.parametrize("route", CLOSED, ids=[f"{route.method} {route.path}" for route in CLOSED])
def test_nothing_below_v1_opens_without_a_key(route, server: ServerProcess):
    path = route.path.replace("{name:.+}", "x").replace("{", "").replace("}", "")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer csk_0_0"}, {"Authorization": "x"}):
        with server.client(None) as client:
            answer = client.request(route.method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def make_key(api: Api, *scopes: str, **more: str) -> dict:
    answer = api.client.post("/v1/api-keys", json={"name": "k", "scopes": scopes, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_key_reaches_as_far_as_its_scope(api: Api, server: ServerProcess):
    reach = {"read": {"read"}, "run": {"read", "run"}, "deploy": {"read", "run", "deploy"}}
    for scope, allowed in reach.items():
        with server.client(make_key(api, scope)["key"]) as client:
            for route in ROUTES:
                if route.scope is None:
                    continue
                path = route.path.replace("{name:.+}", "x").replace("{", "").replace("}", "")
                answer = client.request(route.method, path, json={})
                assert (answer.status_code == 403) == (route.scope not in allowed), (route, answer.text)


def test_a_key_is_shown_once_and_listed_without_its_secret(api: Api):
    made = make_key(api, "read", "admin")
    assert made["scopes"] == ["admin", "read"]
    listed = api.client.get("/v1/api-keys?limit=1")
    assert listed.json()["api_keys"][0]["id"] == made["id"]
    assert made["key"] not in listed.text
    assert made["key"].rpartition("_")[2] not in listed.text


def test_a_revoked_key_opens_nothing(api: Api, server: ServerProcess):
    made = make_key(api, "read")
    with server.client(made["key"]) as client:
        assert client.get("/v1/runs").status_code == 200
        assert api.client.delete(f"/v1/api-keys/{made['id']}").status_code == 204
        assert client.get("/v1/runs").status_code == 401
    assert made["id"] not in api.client.get("/v1/api-keys").text
    assert api.client.delete("/v1/api-keys/key_nobody").status_code == 404


def test_a_key_is_wanted_whole(api: Api, server: ServerProcess):
    key = make_key(api, "read")["key"]
    for wrong in (key[:-1], key + "0", key.rpartition("_")[0], key.upper(), key.replace("csk", "csr")):
        with server.client(wrong) as client:
            assert client.get("/v1/runs").status_code == 401


def test_a_key_must_make_sense(api: Api):
    for body in (
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["god"]},
        {"name": "x"},
        {"name": "x", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["read"], "expires_at": "tomorrow"},
    ):
        assert api.client.post("/v1/api-keys", json=body).status_code == 400


def test_use_is_noted(api: Api, server: ServerProcess):
    made = make_key(api, "read")
    assert made["last_used_at"] is None
    with server.client(made["key"]) as client:
        client.get("/v1/runs")
    keys = {key["id"]: key for key in api.client.get("/v1/api-keys").json()["api_keys"]}
    assert keys[made["id"]]["last_used_at"] is not None


def test_errors_outside_of_handlers_are_json_too(api: Api):
    missing = api.client.get("/v1/nothing")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    wrong = api.client.put("/v1/runs")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "bad_request")
    assert "GET" in wrong.headers["Allow"]


def test_health_is_open_and_tells_little(server: ServerProcess):
    with server.client(None) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json()["status"] == "ready"


def test_answers_carry_request_id_and_position(api: Api):
    answer = api.client.get("/v1/runs", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["X-Request-Id"] == "mine-1"
    position = int(answer.headers["Crewship-Position"])
    seen = api.client.get("/v1/runs", headers={"Crewship-Position": str(position)})
    assert seen.status_code == 200
    ahead = api.client.get("/v1/runs", headers={"Crewship-Position": str(position + 1000)})
    assert (ahead.status_code, ahead.headers["Retry-After"]) == (503, "1")
    assert api.client.get("/v1/runs", headers={"Crewship-Position": "x"}).status_code == 400


def test_other_origins_are_not_answered_unless_allowed(api: Api):
    answer = api.client.get("/v1/runs", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers
