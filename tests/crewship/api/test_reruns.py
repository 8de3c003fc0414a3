"""Runs that are run again, on a real server with a real project."""

import pytest

from tests import projects
from tests.server import Api


def rerun(api: Api, run_id: str, **body) -> dict:
    answer = api.client.post(f"/v1/runs/{run_id}/rerun", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def two_versions(api: Api) -> tuple[Api, str]:
    """A run of version 1 of `again`, where version 2 is live."""
    api.deploy("again")
    first = api.run("again", ["say", "hello"])["id"]
    api.deploy("again", {**projects.PROBE, "note.txt": "new"})
    return api, first


def test_a_rerun_is_a_new_run_with_the_same_input_and_version(two_versions: tuple[Api, str]):
    api, first = two_versions
    accepted = rerun(api, first)
    assert (accepted["rerun_of"], accepted["version_number"], accepted["status"]) == (first, 1, "pending")
    assert accepted["run_id"] != first
    run = api.wait(accepted["run_id"])
    assert (run["rerun_of"], run["input"], run["output"]["said"]) == (first, {"steps": [["say", "hello"]]}, "hello")
    assert api.client.get(f"/v1/runs/{first}").json()["rerun_of"] is None
    created = next(api.events(f"/v1/runs/{run['id']}/events"))
    assert created["data"]["rerun_of"] == first


def test_a_rerun_takes_the_active_version_and_another_input_where_asked(two_versions: tuple[Api, str]):
    api, first = two_versions
    accepted = rerun(api, first, version="active", input={"steps": [["say", "other"]]})
    assert accepted["version_number"] == 2
    assert api.wait(accepted["run_id"])["output"]["said"] == "other"


def test_a_large_input_is_there_again(api: Api):
    text = "x" * (300 * 1024)
    first = api.run("probe", ["say", text])
    assert api.wait(rerun(api, first["id"])["run_id"])["output"]["said"] == text


def test_a_rerun_under_one_idempotency_key_is_one_run(api: Api):
    first = api.run("probe")["id"]
    url, headers = f"/v1/runs/{first}/rerun", {"Idempotency-Key": "again-and-again"}
    one, two = (api.client.post(url, json={}, headers=headers).json() for _ in range(2))
    assert one["run_id"] == two["run_id"]
    assert api.client.post(url, json={"version": "active"}, headers=headers).status_code == 409


def test_a_rerun_in_a_thread_is_a_turn_of_that_thread(api: Api):
    api.deploy("chat", projects.CHAT)
    thread_id = api.client.post("/v1/threads", json={"deployment_id": "chat"}).json()["thread_id"]
    said = {"input": {"message": "hello"}}
    first = api.client.post(f"/v1/threads/{thread_id}/runs", json=said).json()["run_id"]
    busy = api.client.post(f"/v1/runs/{first}/rerun", json={})
    assert busy.status_code == 409
    assert busy.json()["error"]["running_run_id"] == first
    api.wait(first)
    accepted = rerun(api, first)
    assert accepted["thread_id"] == thread_id
    messages = api.wait(accepted["run_id"])["output"]["messages"]
    assert [message["content"] for message in messages if message["type"] == "human"] == ["hello", "hello"]


def test_what_cannot_be_run_again_is_refused(api: Api):
    api.deploy("chat", projects.CHAT)
    first = api.run("probe")["id"]
    assert api.client.post("/v1/runs/run_nothing/rerun", json={}).status_code == 404
    wrong = api.client.post(f"/v1/runs/{first}/rerun", json={"version": "other"})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["message"].startswith("version: ")
    thread_id = api.client.post("/v1/threads", json={"deployment_id": "chat"}).json()["thread_id"]
    run_id = api.client.post(f"/v1/threads/{thread_id}/runs", json={"input": {"message": "a"}}).json()["run_id"]
    api.wait(run_id)
    edited = api.client.post(f"/v1/threads/{thread_id}/state", json={"values": {"topic": "b"}}).json()
    refused = api.client.post(f"/v1/runs/{edited['run_id']}/rerun", json={})
    assert refused.status_code == 400
    assert "edits a thread's state" in refused.json()["error"]["message"]
