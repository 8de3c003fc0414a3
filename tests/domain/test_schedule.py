from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest

from domain import schedule as rules
from domain.errors import BadRequest, NotFound
from domain.output import Stored
from domain.schedule import (
    ScheduleChanged,
    ScheduleCreated,
    ScheduleDeleted,
    ScheduleEvent,
    SchedulePaused,
    ScheduleResumed,
    Schedules,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def created(schedule_id: str = "sch_1", **fields: Any) -> ScheduleCreated:
    known: dict[str, Any] = {"name": None, "cron": "@daily", "timezone": "UTC", "environment": "production"}
    known |= {"overlap": "skip", "catch_up": 60, "since": NOW, "input": {"a": 1}}
    return ScheduleCreated(schedule_id=schedule_id, deployment_id="dep_1", **{**known, **fields})


def given(*events: ScheduleEvent) -> Schedules:
    schedules = reduce(rules.evolve, events, None)
    assert schedules is not None
    return schedules


def test_what_is_changed_is_changed_and_the_rest_stays():
    changed = given(created(), ScheduleChanged(schedule_id="sch_1", since=LATER, cron="@hourly")).find("sch_1")
    assert (changed.cron, changed.since, changed.overlap, changed.input) == ("@hourly", LATER, "skip", {"a": 1})


def test_an_input_replaces_the_one_before_in_whichever_form():
    stored = Stored(sha256="ab", size=1, preview="{")
    large = ScheduleChanged(schedule_id="sch_1", since=LATER, stored_input=stored)
    small = ScheduleChanged(schedule_id="sch_1", since=LATER, input={})
    assert given(created(), large).find("sch_1").input is None
    assert given(created(), large, small).find("sch_1").stored_input is None


def test_a_resumed_schedule_goes_on_from_that_moment():
    paused = given(created(), SchedulePaused(schedule_id="sch_1"))
    assert rules.pause(paused, "sch_1") == []
    assert rules.resume(paused, "sch_1", LATER) == [ScheduleResumed(schedule_id="sch_1", since=LATER)]
    assert given(created(), *rules.resume(paused, "sch_1", LATER)).find("sch_1").since == LATER


def test_what_was_deleted_is_not_found():
    gone = given(created(), ScheduleDeleted(schedule_id="sch_1"))
    for decide in (rules.pause, rules.delete):
        with pytest.raises(NotFound, match="Schedule sch_1 not found"):
            decide(gone, "sch_1")


def test_limits_are_kept():
    with pytest.raises(BadRequest, match="at most 50 schedules"):
        rules.create(given(*(created(f"sch_{number}") for number in range(50))), created("sch_x"))
    with pytest.raises(BadRequest, match="catch_up_seconds"):
        rules.create(None, created(catch_up=10**6))


def test_a_time_has_one_stream_in_whichever_zone_it_is_given():
    east = (NOW + timedelta(hours=9)).replace(tzinfo=None).replace(tzinfo=UTC) - timedelta(hours=9)
    assert rules.tick_stream("sch_1", NOW) == rules.tick_stream("sch_1", east) == "sch_1@20260101T000000Z"
