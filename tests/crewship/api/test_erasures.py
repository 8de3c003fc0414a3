"""Erasure and retention over HTTP."""

import time
from typing import Any

from tests import projects
from tests.server import DEADLINE, Api, ServerProcess

SECRET = "Grace Hopper"


def events_of(api: Api, run_id: str) -> list[dict[str, Any]]:
    return [event["data"] for event in api.events(f"/v1/runs/{run_id}/events")]


def test_an_erased_run_shows_that_it_was_and_nothing_of_what_it_held(api: Api):
    run = api.run("probe", ["print", SECRET], ["write", f"{SECRET}.txt", SECRET], ["say", SECRET])
    before = events_of(api, run["id"])
    answer = api.client.delete(f"/v1/runs/{run['id']}/data")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["id"], told["erased"], told["runs"]) == (run["id"], True, 1)
    assert told["requested_at"] <= told["destroyed_at"]
    shown = api.client.get(f"/v1/runs/{run['id']}")
    assert SECRET not in shown.text
    expected = {**run, "input": None, "output": None, "error_message": None, "erased": True}
    assert shown.json() == expected
    after = events_of(api, run["id"])
    assert [event["type"] for event in after] == [event["type"] for event in before]
    assert SECRET not in str(after)
    assert {event["type"] for event in after if event.get("erased")} >= {
        "run.created",
        "log",
        "artifact",
        "run.completed",
    }
    assert api.client.get(f"/v1/runs/{run['id']}/artifacts").json() == {"artifacts": []}
    assert api.client.get(f"/v1/runs/{run['id']}/artifacts/{SECRET}.txt").status_code == 404
    again = api.client.delete(f"/v1/runs/{run['id']}/data")
    assert (again.status_code, again.json()) == (200, told)


def test_an_erased_run_cannot_be_run_again_without_an_input(api: Api):
    run = api.run("probe", ["say", SECRET])
    api.client.delete(f"/v1/runs/{run['id']}/data")
    refused = api.client.post(f"/v1/runs/{run['id']}/rerun", json={})
    assert refused.status_code == 409
    assert "erased" in refused.json()["error"]["message"]
    assert api.client.post(f"/v1/runs/{run['id']}/rerun", json={"input": {"steps": []}}).status_code == 202


def test_a_run_under_way_is_not_erased(api: Api):
    run_id = api.start("probe", ["sleep", 60])
    api.until(run_id, "running")
    refused = api.client.delete(f"/v1/runs/{run_id}/data")
    assert refused.status_code == 409
    assert "running" in refused.json()["error"]["message"]
    api.client.post(f"/v1/runs/{run_id}/cancel")
    assert api.client.delete(f"/v1/runs/{run_id}/data").status_code == 200


def test_only_an_admin_erases(api: Api, server: ServerProcess):
    key = api.client.post("/v1/api-keys", json={"name": "clerk", "scopes": ["read", "run", "deploy"]}).json()["key"]
    run = api.run("probe", ["say", "x"])
    with server.client(key) as clerk:
        assert clerk.delete(f"/v1/runs/{run['id']}/data").status_code == 403
        assert clerk.put("/v1/retention", json={"keep": 0}).status_code == 403
    assert api.client.delete("/v1/runs/run_000000000000/data").status_code == 404
    assert api.client.delete("/v1/threads/thr_000000000000/data").status_code == 404


def test_an_erased_thread_takes_its_runs_along_and_takes_no_more(api: Api):
    api.deploy("forgetful", projects.CHAT)
    created = api.client.post("/v1/threads", json={"deployment_id": "forgetful", "metadata": {"user": SECRET}})
    thread_id = created.json()["thread_id"]
    turn = api.client.post(f"/v1/threads/{thread_id}/runs", json={"input": {"message": f"delete {SECRET}"}}).json()
    api.wait(turn["run_id"])
    assert SECRET in api.client.get(f"/v1/threads/{thread_id}").text
    answer = api.client.delete(f"/v1/threads/{thread_id}/data")
    assert (answer.status_code, answer.json()["runs"]) == (200, 1), answer.text
    thread = api.client.get(f"/v1/threads/{thread_id}").json()
    assert (thread["erased"], thread["values"], thread["metadata"], thread["interrupts"]) == (True, None, None, None)
    assert thread["last_run"] == {"run_id": turn["run_id"], "succeeded": True}
    for path in (f"/v1/runs/{turn['run_id']}", f"/v1/threads/{thread_id}/history?steps=true"):
        shown = api.client.get(path)
        assert SECRET not in shown.text
        assert '"erased":true' in shown.text
    assert api.client.get(f"/v1/threads/{thread_id}/state").json()["values"] is None
    assert api.client.get(f"/v1/threads/{thread_id}/checkpoints").json() == {"checkpoints": [], "more": False}
    for path, body in (("runs", {"input": {}}), ("state", {"values": {"a": 1}}), ("copy", {})):
        refused = api.client.post(f"/v1/threads/{thread_id}/{path}", json=body)
        assert (refused.status_code, "erased" in refused.text) == (409, True), (path, refused.text)
    assert api.client.patch(f"/v1/threads/{thread_id}", json={"metadata": {}}).status_code == 409


def test_a_thread_that_was_deleted_is_erased_too(api: Api):
    created = api.client.post("/v1/threads", json={"deployment_id": "probe", "values": {"name": SECRET}}).json()
    assert api.client.delete(f"/v1/threads/{created['thread_id']}").status_code == 204
    assert api.client.delete(f"/v1/threads/{created['thread_id']}/data").status_code == 200


def test_a_rule_is_set_shown_applied_and_lifted(api: Api):
    api.deploy("short-lived")
    assert api.client.get("/v1/deployments/short-lived/retention").status_code == 404
    runs = [api.run("short-lived", ["say", SECRET])["id"] for _ in range(3)]
    rule = api.client.put("/v1/deployments/short-lived/retention", json={"keep": 1, "older_than_seconds": 86400})
    assert rule.status_code == 200, rule.text
    assert (rule.json()["keep"], rule.json()["older_than_seconds"]) == (1, 86400)
    assert api.client.get("/v1/deployments/short-lived/retention").json() == rule.json()
    deadline = time.monotonic() + DEADLINE
    while "erased" not in api.client.get(f"/v1/runs/{runs[0]}").json() and time.monotonic() < deadline:
        time.sleep(0.05)
    kept = [api.client.get(f"/v1/runs/{run_id}").json().get("erased", False) for run_id in runs]
    assert kept == [True, True, False]
    assert api.client.delete("/v1/deployments/short-lived/retention").status_code == 204
    assert api.client.get("/v1/deployments/short-lived/retention").status_code == 404


def test_a_rule_that_makes_no_sense_is_refused_by_name(api: Api):
    for body, named in (
        ({}, "older_than_seconds or keep"),
        ({"keep": -1}, "keep"),
        ({"older_than_seconds": 1}, "older"),
    ):
        refused = api.client.put("/v1/deployments/probe/retention", json=body)
        assert (refused.status_code, named in refused.text) == (400, True), refused.text
    assert api.client.put("/v1/deployments/nobody/retention", json={"keep": 1}).status_code == 404
