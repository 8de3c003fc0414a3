"""The whole log over HTTP: who did what, when, from where; and that nobody changed it since."""

from itertools import islice

from tests.server import Api, ServerProcess, parse

SECRET = "sk-very-secret-value"


def acted(api: Api, name: str) -> int:
    """Do something that is recorded; returns the position before it."""
    before = int(api.client.get("/readyz").json()["position"])
    headers = {"X-Request-Id": f"req-{name}"}
    created = api.client.post("/v1/deployments", json={"name": name}, headers=headers)
    assert created.status_code == 201, created.text
    api.client.put(f"/v1/deployments/{name}/env", json={"variables": {"TOKEN": SECRET}})
    return before


def test_the_log_tells_who_did_what_when_and_from_where(api: Api):
    before = acted(api, "audited")
    page = api.client.get("/v1/events", params={"after": before, "types": "deployment.created"}).json()
    (created,) = [event for event in page["events"] if event["data"]["name"] == "audited"]
    assert created["actor"] == "key:operator"
    assert created["address"] == "127.0.0.1"
    assert created["request_id"] == "req-audited"
    assert (created["type"], created["version"], created["stream"]) == ("deployment.created", 1, created["stream"])
    assert created["timestamp"].endswith("Z")
    of_stream = api.client.get("/v1/events", params={"stream": created["stream"]}).json()["events"]
    assert [event["version"] for event in of_stream] == list(range(1, len(of_stream) + 1))


def test_secrets_are_not_in_it(api: Api):
    before = acted(api, "audited-secrets")
    api.client.post("/v1/api-keys", json={"name": "auditor", "scopes": ["read"]})
    answer = api.client.get("/v1/events", params={"after": before, "limit": 1000})
    assert "variables.set" in answer.text
    assert SECRET not in answer.text
    assert 'secret_sha256":' not in answer.text
    (values,) = [event for event in answer.json()["events"] if event["type"] == "variables.set"]
    assert values["sealed"] == ["values"]
    assert values["data"]["names"] == ["TOKEN"]


def test_pages_follow_on_from_each_other(api: Api):
    acted(api, "audited-pages")
    whole = api.client.get("/v1/events", params={"limit": 1000}).json()["events"]
    found, after = [], 0
    while len(found) < len(whole):
        page = api.client.get("/v1/events", params={"after": after, "limit": 7}).json()
        found += page["events"]
        after = page["next_after"]
    assert found[: len(whole)] == whole


def test_times_and_actors_filter(api: Api):
    before = acted(api, "audited-times")
    params = {"after": before, "types": "deployment.created"}
    (created,) = api.client.get("/v1/events", params=params).json()["events"][-1:]
    at = created["timestamp"]
    since = api.client.get("/v1/events", params={"since": at, "types": "deployment.created"}).json()["events"]
    assert since[0]["timestamp"] >= at
    assert created in since
    until = api.client.get("/v1/events", params={"until": at, "limit": 1000}).json()["events"]
    assert all(event["timestamp"] < at for event in until)
    by = api.client.get("/v1/events", params={"by": "key:nobody"}).json()
    assert by["events"] == []
    assert by["next_after"] > 0


def test_it_is_a_stream_that_resumes(api: Api):
    before = acted(api, "audited-stream")
    headers = {"Accept": "text/event-stream"}
    with api.client.stream("GET", f"/v1/events?after={before}", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = parse(response.iter_lines())
        seen = [next(events)]
        acted(api, "audited-stream-2")
        seen += islice(events, 3)
    again = {**headers, "Last-Event-ID": seen[1]["id"]}
    with api.client.stream("GET", "/v1/events", headers=again) as response:
        assert list(islice(parse(response.iter_lines()), 2)) == seen[2:4]
    page = api.client.get("/v1/events", params={"after": before, "limit": 4}).json()["events"]
    assert [event["data"] for event in seen] == page


def test_bad_questions_are_refused_by_name(api: Api):
    for query, named in (
        ("types=nothing.happened", "types"),
        ("since=yesterday", "since"),
        ("until=2026-01-01T00:00:00", "until"),
        ("after=-1", "after"),
        ("limit=1001", "limit"),
    ):
        answer = api.client.get(f"/v1/events?{query}")
        assert answer.status_code == 400, query
        assert named in answer.json()["error"]["message"]
    assert api.client.get("/v1/audit/verify?head=7").status_code == 400


def test_only_an_admin_reads_it(api: Api, server: ServerProcess):
    key = api.client.post("/v1/api-keys", json={"name": "deployer", "scopes": ["deploy"]}).json()["key"]
    with server.client(key) as client:
        for path in ("/v1/events", "/v1/audit/head", "/v1/audit/verify"):
            assert client.get(path).status_code == 403
        assert client.post("/v1/audit/seal").status_code == 403


def test_a_log_that_nobody_touched_verifies_up_to_its_pinned_head(api: Api):
    acted(api, "audited-seals")
    pinned = api.client.post("/v1/audit/seal").json()
    found = api.client.get("/v1/audit/verify", params={"head": pinned["head"]}).json()
    assert found["findings"] == []
    assert found["sealed_up_to"] >= pinned["position"] > 0
    forged = f"{pinned['position']}:{'0' * 64}"
    found = api.client.get("/v1/audit/verify", params={"head": forged}).json()
    assert [finding["what"] for finding in found["findings"]] == ["head"]
