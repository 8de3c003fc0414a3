"""Keys, and what every answer carries. Who may take which route: test_doors.py."""

from tests.server import Api, ServerProcess


def make_key(api: Api, *scopes: str, **more: str) -> dict:
    answer = api.client.post("/v1/api-keys", json={"name": "k", "scopes": scopes, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


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
