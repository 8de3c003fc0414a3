"""What is asked twice under one Idempotency-Key is done once."""

import threading
from typing import Any

import pytest

from tests import projects
from tests.server import Api

WANTED: dict[str, Any] = {
    "/v1/deployments": {"name": "asked-twice"},
    "/v1/threads": {"deployment_id": "probe", "metadata": {"n": 1}, "values": {"a": 1}},
}


@pytest.mark.parametrize("path", WANTED)
def test_the_same_thing_is_made_once(api: Api, path: str):
    headers = {"Idempotency-Key": f"once-{path}"}
    first, again = (api.client.post(path, json=WANTED[path], headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    other = api.client.post(path, json={**WANTED[path], "name": "other", "deployment_id": "probe2"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    assert other.json()["error"]["id"] in first.text


def test_a_version_is_uploaded_once(api: Api):
    api.client.post("/v1/deployments", json={"name": "uploaded-twice"})
    url, headers = "/v1/deployments/uploaded-twice/versions", {"Idempotency-Key": "upload"}
    project = projects.pack(projects.PROBE)
    first, again = (api.client.post(url, content=project, headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert len(api.client.get(url).json()["versions"]) == 1
    assert api.client.post(f"{url}?environment=staging", content=project, headers=headers).status_code == 409


def test_a_thread_is_copied_once(api: Api):
    thread = api.client.post("/v1/threads", json={"deployment_id": "probe", "values": {"a": 1}}).json()["thread_id"]
    other = api.client.post("/v1/threads", json={"deployment_id": "probe", "values": {"a": 1}}).json()["thread_id"]
    headers = {"Idempotency-Key": "copy"}
    copies = {api.client.post(f"/v1/threads/{thread}/copy", headers=headers).json()["thread_id"] for _ in range(2)}
    assert len(copies) == 1
    assert api.client.post(f"/v1/threads/{other}/copy", headers=headers).status_code == 409


def test_a_key_is_made_once_and_shown_once(api: Api):
    body, headers = {"name": "twice", "scopes": ["read"]}, {"Idempotency-Key": "key"}
    first, again = (api.client.post("/v1/api-keys", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 409)
    assert again.json()["error"]["id"] == first.json()["id"]
    assert first.json()["key"] not in again.text


def test_a_schedule_is_made_once(api: Api):
    api.client.post("/v1/deployments", json={"name": "scheduled-twice"})
    url, body, headers = "/v1/deployments/scheduled-twice/schedules", {"cron": "@daily"}, {"Idempotency-Key": "daily"}
    first, again = (api.client.post(url, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert len(api.client.get(url).json()["schedules"]) == 1
    assert api.client.post(url, json={"cron": "@hourly"}, headers=headers).status_code == 409


@pytest.mark.parametrize("direction", ["incoming", "outgoing"])
def test_a_webhook_is_made_once_and_its_secret_shown_once(api: Api, direction: str):
    name = f"hooked-twice-{direction}"
    api.client.post("/v1/deployments", json={"name": name})
    url, headers = f"/v1/deployments/{name}/webhooks", {"Idempotency-Key": f"hook-{direction}"}
    body = {"direction": direction, "name": "shop", "url": "https://example.org/hook"}
    first, again = (api.client.post(url, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 409)
    assert again.json()["error"]["id"] == first.json()["id"]
    assert first.json()["token" if direction == "incoming" else "secret"] not in again.text
    assert len(api.client.get(url).json()["webhooks"]) == 1


def test_many_at_once_make_one(api: Api):
    answers: list[Any] = []
    barrier = threading.Barrier(6)

    def ask() -> None:
        barrier.wait()
        answer = api.client.post("/v1/threads", json={"deployment_id": "probe"}, headers={"Idempotency-Key": "at once"})
        answers.append((answer.status_code, answer.json().get("thread_id")))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
