"""Event streams over HTTP."""

import random
import threading
import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.server import Api, ServerProcess


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for event in events]


@pytest.fixture(scope="module")
def counted(api: Api) -> list[dict[str, Any]]:
    """All events of a finished run that said some 300 things."""
    run = api.run("probe", ["count", 295], ["write", "a.txt", "a"])
    return list(api.events(f"/v1/runs/{run['id']}/events"))


def url_of(events: list[dict[str, Any]]) -> str:
    return f"/v1/runs/{events[0]['data']['run_id']}/events"


def test_a_stream_tells_the_whole_run_in_order(counted: list[dict[str, Any]]):
    kinds = [event["event"] for event in counted]
    assert kinds[:3] == ["run.created", "run.started", "log"]
    assert kinds[-2:] == ["artifact", "run.completed"]
    assert [event["data"]["message"] for event in counted if event["event"] == "log"][1:] == [
        f"line {number}" for number in range(295)
    ]
    positions = [int(event["id"].removeprefix("evt_")) for event in counted]
    assert positions == sorted(set(positions))


def test_data_has_both_shapes(counted: list[dict[str, Any]]):
    for event in counted:
        data = event["data"]
        assert data["type"] == event["event"]
        assert datetime.fromisoformat(data["timestamp"]).tzinfo is not None
        assert data["timestamp"].endswith("Z")
        assert data["payload"].items() <= data.items()


def test_a_stream_cut_at_every_event_and_resumed_equals_the_log(api: Api, counted: list[dict[str, Any]]):
    url = url_of(counted)
    for number, event in enumerate(counted):
        assert list(api.events(url, last=event["id"])) == counted[number + 1 :]


@pytest.mark.long
def test_a_long_stream_cut_at_random_and_resumed_equals_the_log(api: Api):
    run = api.run("probe", ["count", 10_000])
    url = f"/v1/runs/{run['id']}/events"
    whole = list(api.events(url))
    assert len([event for event in whole if event["event"] == "log"]) == 10_001
    for number in random.Random(1).sample(range(len(whole)), 500):
        assert ids(list(api.events(url, last=whole[number]["id"]))) == ids(whole[number + 1 :])


def test_a_live_stream_that_is_cut_again_and_again_loses_and_repeats_nothing(api: Api):
    run_id = api.start("probe", ["slowly", 150, 0.005])
    url = f"/v1/runs/{run_id}/events"
    seen: list[dict[str, Any]] = []
    chance = random.Random(2)
    while not seen or seen[-1]["event"] != "run.completed":
        budget = chance.randint(1, 12)
        for event in api.events(url, last=seen[-1]["id"] if seen else None):
            seen.append(event)
            budget -= 1
            if budget == 0:
                break
    assert seen == list(api.events(url))


def test_behind_the_end_there_is_nothing(api: Api, counted: list[dict[str, Any]]):
    url = url_of(counted)
    assert api.client.get(url, headers={"Last-Event-ID": counted[-1]["id"]}).status_code == 204
    only_logs = {"Last-Event-ID": counted[-2]["id"]}
    assert api.client.get(f"{url}?types=log", headers=only_logs).status_code == 204
    assert api.client.get(f"{url}?types=run.completed", headers=only_logs).status_code == 200


def test_types_filter(api: Api, counted: list[dict[str, Any]]):
    wanted = [event for event in counted if event["event"] in ("artifact", "run.started")]
    assert list(api.events(f"{url_of(counted)}?types=artifact,run.started")) == wanted


def test_unnamed_events_reach_onmessage(api: Api, counted: list[dict[str, Any]]):
    unnamed = list(api.events(f"{url_of(counted)}?named=false"))
    assert ids(unnamed) == ids(counted)
    assert not any("event" in event for event in unnamed)


def test_odd_last_ids(api: Api, counted: list[dict[str, Any]]):
    url = url_of(counted)
    other = api.run("probe", ["say", 1])
    of_other = list(api.events(f"/v1/runs/{other['id']}/events"))
    with api.client.stream("GET", url, headers={"Last-Event-ID": ""}) as response:
        assert response.status_code == 200
    assert ids(list(api.events(url, last=of_other[0]["id"]))) == ids(counted)
    internal = f"evt_{int(counted[0]['id'][4:]) + 1:03d}"
    assert ids(list(api.events(url, last=internal))) == ids(counted[1:])
    assert ids(list(api.events(f"{url}?last_event_id={counted[5]['id']}"))) == ids(counted[6:])
    for wrong in ("evt_999999999", "evt_1", "nonsense", "evt_abc", "42", "evt_" + "9" * 30):
        answer = api.client.get(url, headers={"Last-Event-ID": wrong})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_headers_arrive_before_the_first_event(api: Api):
    run_id = api.start("probe", ["sleep", 30])
    with api.client.stream("GET", f"/v1/runs/{run_id}/events?types=run.completed") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"].startswith("no-cache")
        assert next(response.iter_raw()) == b": connected\n\n"
    api.client.post(f"/v1/runs/{run_id}/cancel")


def test_many_readers_see_the_same(api: Api, server: ServerProcess):
    run_id = api.start("probe", ["slowly", 50, 0.01])
    seen: list[list[str]] = []

    def read() -> None:
        with server.client() as client:
            seen.append(ids(list(Api(client).events(f"/v1/runs/{run_id}/events"))))

    readers = [threading.Thread(target=read) for _ in range(20)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    whole = ids(list(api.events(f"/v1/runs/{run_id}/events")))
    assert seen == [whole] * 20


def test_a_reader_that_does_not_read_holds_up_nobody(api: Api, server: ServerProcess):
    run_id = api.start("probe", ["wait_for", "artifacts/never"], ["sleep", 60])
    with server.client() as slow, slow.stream("GET", f"/v1/runs/{run_id}/events"):
        run = api.run("probe", ["count", 2000])
        assert len(list(api.events(f"/v1/runs/{run['id']}/events"))) > 2000
    api.client.post(f"/v1/runs/{run_id}/cancel")


def test_a_token_opens_one_stream_without_a_header(api: Api, server: ServerProcess, counted: list[dict[str, Any]]):
    url = url_of(counted)
    made = api.client.post(f"{url.removesuffix('events')}stream-token")
    assert made.status_code == 201
    token = made.json()["token"]
    other = api.run("probe", ["say", 1])
    with server.client(None) as anybody:
        assert ids(list(Api(anybody).events(f"{url}?access_token={token}"))) == ids(counted)
        for path in (f"/v1/runs/{other['id']}/events", f"{url}x", url.removesuffix("/events")):
            answer: httpx.Response = anybody.get(f"{path}?access_token={token}")
            assert answer.status_code in (401, 404)
        forged = token[:-1] + ("1" if token.endswith("0") else "0")
        assert anybody.get(f"{url}?access_token={forged}").status_code == 401
        assert anybody.get(f"{url}?access_token=").status_code == 401


def test_streams_that_go_away_are_forgotten(api: Api, server: ServerProcess):
    run_id = api.start("probe", ["sleep", 20])
    for _ in range(20):
        with api.client.stream("GET", f"/v1/runs/{run_id}/events") as response:
            next(response.iter_raw())
    began = time.monotonic()
    api.client.post(f"/v1/runs/{run_id}/cancel")
    assert time.monotonic() - began < 20
