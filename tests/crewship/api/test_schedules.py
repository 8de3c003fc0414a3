"""Schedules as the API manages them; what they do when their time has come is tested with a clock of the test's."""

from typing import Any

import pytest

from tests.server import Api

PLANS = "/v1/deployments/probe/schedules"


def made(api: Api, **fields: Any) -> Any:
    answer = api.client.post(PLANS, json={"cron": "0 9 * * mon-fri", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_schedule_is_made_shown_changed_and_deleted(api: Api):
    plan = made(api, timezone="Europe/Berlin", input={"steps": []}, name="mornings")
    assert (plan["overlap"], plan["catch_up_seconds"], plan["status"], plan["input"]) == (
        *("skip", 3600, "active"),
        {"steps": []},
    )
    url = f"{PLANS}/{plan['id']}"
    assert plan["id"] in {one["id"] for one in api.client.get(PLANS).json()["schedules"]}
    following = api.client.get(f"{url}?next=5").json()["next"]
    assert len(following) == 5
    assert following == sorted(following)
    changed = api.client.patch(url, json={"cron": "@hourly", "overlap": "queue", "input": {"a": 1}}).json()
    assert (changed["cron"], changed["overlap"], changed["input"]) == ("@hourly", "queue", {"a": 1})
    assert (changed["timezone"], changed["name"]) == ("Europe/Berlin", "mornings")
    assert api.client.get(f"{url}/history").json() == {"history": []}
    assert api.client.delete(url).status_code == 204
    assert api.client.get(url).status_code == 404


def test_a_paused_schedule_has_no_next_time_until_it_is_resumed(api: Api):
    url = f"{PLANS}/{made(api)['id']}"
    paused = api.client.post(f"{url}/pause").json()
    assert (paused["status"], paused["next"]) == ("paused", [])
    resumed = api.client.post(f"{url}/resume").json()
    assert resumed["status"] == "active"
    assert len(resumed["next"]) == 1
    api.client.delete(url)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cron": "x"}, "cron: expected five fields"),
        ({"cron": "0 25 * * *"}, "cron: bad hour"),
        ({"timezone": "Nowhere"}, "timezone: 'Nowhere' is not an IANA time zone"),
        ({"overlap": "wait"}, "overlap: invalid enum value"),
        ({"catch_up_seconds": -1}, "catch_up_seconds: from 0 to 604800"),
        ({"name": ""}, "name: 1 to 100 characters"),
        ({"input": []}, "input: expected `object"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_by_the_field_at_fault(api: Api, fields: Any, message: str):
    answer = api.client.post(PLANS, json={"cron": "@daily", **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(message), answer.text


def test_a_change_is_checked_against_what_stays(api: Api):
    url = f"{PLANS}/{made(api)['id']}"
    answer = api.client.patch(url, json={"timezone": "Nowhere"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    api.client.delete(url)
