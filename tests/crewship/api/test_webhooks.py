"""Webhooks as the API manages them, against a real server and a real receiver."""

import hashlib
import hmac
import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from crewship.api.incoming import EACH_TOKEN
from tests.receiver import Arrived, Receiver, listening
from tests.server import Api, ServerProcess

HOOKS = "/v1/deployments/hooked/webhooks"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def anybody(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client without a key."""
    with server.client(None) as client:
        yield client


@pytest.fixture(scope="module")
def hooked(api: Api) -> None:
    """A deployment of this file's own, whose runs nobody else starts."""
    assert api.deploy("hooked")["status"] == "ready"


@pytest.fixture
def made(api: Api, hooked: None) -> Iterator[Any]:
    """Makes webhooks that are gone after the test."""
    ids = []

    def make(**fields: Any) -> Any:
        answer = api.client.post(HOOKS, json=fields)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
        return answer.json()

    yield make
    for webhook_id in ids:
        api.client.delete(f"{HOOKS}/{webhook_id}")


def test_a_token_starts_runs_and_a_key_is_not_asked_for(api: Api, anybody: httpx.Client, made: Any):
    made_hook = made(direction="incoming", name="from the form")
    answer = anybody.post(made_hook["url"], json={"steps": [["say", "hello"]]})
    assert answer.status_code == 202
    assert answer.json()["status"] != "pending"
    assert set(answer.json()) == {"run_id", "version_id", "version_number", "status"}
    assert api.wait(answer.json()["run_id"])["output"]["said"] == "hello"


def test_a_token_is_shown_at_its_making_and_never_again(api: Api, made: Any):
    token = made(direction="incoming", name="once")["token"]
    for path in (HOOKS, f"{HOOKS}/{api.client.get(HOOKS).json()['webhooks'][0]['id']}"):
        assert token not in api.client.get(path).text
    assert "token" not in api.client.get(HOOKS).json()["webhooks"][0]


def test_a_rotated_token_starts_nothing_and_the_new_one_does(api: Api, anybody: httpx.Client, made: Any):
    before = made(direction="incoming", name="turned")
    after = api.client.post(f"{HOOKS}/{before['id']}/rotate").json()
    refused = anybody.post(before["url"], json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
    assert anybody.post(after["url"], json={}).status_code == 202


def test_a_revoked_token_starts_nothing(api: Api, anybody: httpx.Client, made: Any):
    hook = made(direction="incoming", name="revoked")
    assert api.client.delete(f"{HOOKS}/{hook['id']}").status_code == 204
    assert anybody.post(hook["url"], json={}).status_code == 404
    assert anybody.post("/webhooks/runs/nonsense", json={}).status_code == 404


def test_a_token_is_bound_to_its_environment(api: Api, anybody: httpx.Client, made: Any):
    hook = made(direction="incoming", name="staged", environment="staging")
    answer = anybody.post(hook["url"], json={})
    assert answer.json()["error"]["message"] == "No running version found for staging environment"
    api.client.patch(f"{HOOKS}/{hook['id']}", json={"environment": "production"})
    assert anybody.post(hook["url"], json={}).status_code == 202


@pytest.mark.parametrize("given", [b"[1]", b'"x"', b"{", b"\xff"], ids=["list", "text", "broken", "bytes"])
def test_a_body_that_is_no_object_is_refused(anybody: httpx.Client, made: Any, given: bytes):
    hook = made(direction="incoming", name="strict")
    answer = anybody.post(hook["url"], content=given)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_a_body_that_is_too_large_is_refused(anybody: httpx.Client, made: Any):
    hook = made(direction="incoming", name="small")
    answer = anybody.post(hook["url"], json={"x": "y" * (4 * 1024 * 1024 + 1)})
    assert answer.status_code == 413


def test_the_same_request_under_one_key_is_one_run(anybody: httpx.Client, made: Any):
    hook = made(direction="incoming", name="once only")
    headers = {"Idempotency-Key": "delivery-7"}
    first, second = (anybody.post(hook["url"], json={"steps": []}, headers=headers).json() for _ in range(2))
    assert first["run_id"] == second["run_id"]
    other = anybody.post(hook["url"], json={"steps": [["say", 1]]}, headers=headers)
    assert other.status_code == 409


def test_a_token_that_asks_too_often_is_told_when_to_come_back(anybody: httpx.Client, made: Any):
    hook = made(direction="incoming", name="busy")
    for _ in range(EACH_TOKEN.requests + 20):
        answer = anybody.post(hook["url"], content=b"[]")
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "rate_limited"
    assert int(answer.headers["Retry-After"]) >= 1


def test_an_endpoint_is_told_how_a_run_ended(api: Api, receiver: Receiver, made: Any):
    hook = made(direction="outgoing", name="told", url=receiver.url)
    run = api.run("hooked", ["say", "done"])
    arrived = about(receiver, run["id"])
    said = arrived.verified(hook["secret"])
    assert said["event"] == arrived.headers["X-Crewship-Event"] == "run.succeeded"
    assert said["data"] == run
    assert said["id"] == arrived.headers["X-Crewship-Delivery"] == arrived.headers["webhook-id"]
    timestamp = arrived.headers["X-Crewship-Timestamp"].encode()
    signature = hmac.new(hook["secret"].encode(), timestamp + b"." + arrived.body, hashlib.sha256).hexdigest()
    assert arrived.headers["X-Crewship-Signature"] == signature
    delivery = settled(api, hook, said["id"])
    (attempt,) = delivery["attempts"]
    assert (attempt["outcome"], attempt["status_code"], attempt["response"]) == ("succeeded", 200, "thanks")
    assert delivery["run_id"] == run["id"]


def about(receiver: Receiver, run_id: str) -> Arrived:
    """What has arrived about a run: runs of tests before may still be ending."""
    for count in itertools.count(1):
        if (arrived := receiver.wait_for(count)[count - 1]).json["data"]["id"] == run_id:
            return arrived
    raise AssertionError


def settled(api: Api, hook: Any, delivery_id: str) -> Any:
    """The delivery once it is not pending."""
    while (delivery := api.client.get(f"{HOOKS}/{hook['id']}/deliveries/{delivery_id}").json())["status"] == "pending":
        pass
    return delivery


def test_an_endpoint_hears_only_what_it_wants_to_hear(api: Api, receiver: Receiver, made: Any):
    made(direction="outgoing", name="failures", url=receiver.url, events=["run.failed", "run.canceled"])
    fine = api.run("hooked", ["say", "fine"])["id"]
    failed = api.run("hooked", ["raise", "not fine"])["id"]
    running = api.start("hooked", ["sleep", 60])
    api.until(running, "running")
    api.client.post(f"/v1/runs/{running}/cancel")
    assert about(receiver, failed).json["event"] == "run.failed"
    assert about(receiver, running).json["event"] == "run.canceled"
    assert fine not in {one.json["data"]["id"] for one in receiver.arrived}


def test_a_ping_says_what_came_of_it_and_a_delivery_can_be_sent_again(api: Api, receiver: Receiver, made: Any):
    hook = made(direction="outgoing", name="pinged", url=receiver.url)
    receiver.answers = [(503, 0.0), (200, 0.0)]
    pinged = api.client.post(f"{HOOKS}/{hook['id']}/test").json()
    assert (pinged["event"], pinged["status"]) == ("ping", "failed")
    assert pinged["attempts"][0]["error"] == "answered 503"
    again = api.client.post(f"{HOOKS}/{hook['id']}/deliveries/{pinged['id']}/redeliver")
    assert again.status_code == 202
    assert settled(api, hook, pinged["id"])["status"] == "succeeded"
    pings = [one.verified(hook["secret"])["id"] for one in receiver.arrived if one.json["event"] == "ping"]
    assert pings == [pinged["id"]] * 2
    listed = api.client.get(f"{HOOKS}/{hook['id']}/deliveries?status=succeeded").json()["deliveries"]
    assert [(one["id"], one["attempts"]) for one in listed] == [(pinged["id"], 2)]


def test_for_a_day_both_secrets_verify_after_a_rotation(api: Api, receiver: Receiver, made: Any):
    hook = made(direction="outgoing", name="rotated", url=receiver.url)
    rotated = api.client.post(f"{HOOKS}/{hook['id']}/rotate").json()
    assert rotated["secret"] != hook["secret"]
    api.client.post(f"{HOOKS}/{hook['id']}/test")
    arrived = receiver.wait_for(1)[0]
    assert arrived.verified(hook["secret"]) == arrived.verified(rotated["secret"])


def test_no_answer_shows_a_secret_again(api: Api, receiver: Receiver, made: Any):
    hook = made(direction="outgoing", name="secret", url=receiver.url)
    for path in (HOOKS, f"{HOOKS}/{hook['id']}", f"{HOOKS}/{hook['id']}/deliveries"):
        assert "whsec_" not in api.client.get(path).text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "x"}, "direction is required"),
        ({"direction": "outgoing", "name": "x"}, "url is required"),
        ({"direction": "outgoing", "name": " ", "url": "https://example.com"}, "name is required"),
        ({"direction": "outgoing", "name": "x", "url": "ftp://example.com"}, "url: expected an address"),
        ({"direction": "outgoing", "name": "x", "url": "http://10.0.0.1/"}, "url: 10.0.0.1 is not a public address"),
        ({"direction": "outgoing", "name": "x", "url": "http://[::1]/"}, "url: ::1 is not a public address"),
        ({"direction": "outgoing", "name": "x", "url": "https://u:p@example.com"}, "url: no user name"),
        ({"direction": "outgoing", "name": "x", "url": "https://example.com", "events": []}, "events: give at least"),
        ({"direction": "outgoing", "name": "x", "url": "https://example.com", "events": ["x"]}, "events[0]: invalid"),
        ({"direction": "incoming", "name": "x", "environment": "moon"}, "environment: invalid enum value"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_by_the_field_at_fault(api: Api, hooked: None, fields: Any, message: str):
    answer = api.client.post(HOOKS, json=fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(message), answer.text


def test_two_webhooks_cannot_bear_one_name(api: Api, made: Any):
    made(direction="incoming", name="twice")
    assert api.client.post(HOOKS, json={"direction": "incoming", "name": "twice"}).status_code == 409
