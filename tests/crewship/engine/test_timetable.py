"""Schedules over a real log, with a clock that the test sets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crewship.commands import deployments, schedules
from crewship.engine.timetable import Timetable
from crewship.eventlog import Author, Change, EventLog, open_log
from crewship.secrets import installation_key
from crewship.views import Views
from crewship.views.postgres import PostgresViews
from crewship.views.sqlite import SqliteViews
from domain import deployment as deployment_rules
from domain import run as run_rules
from domain import schedule as rules
from projections import runs as runs_view
from projections import schedules as view

AUTHOR = Author(by="key:k")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class HandClock:
    """Shows what it was set to."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._bell = asyncio.Event()
        self.resting = asyncio.Event()

    def now(self) -> datetime:
        return self.at

    async def wait(self, until: datetime | None, bell: asyncio.Event) -> None:
        if until is not None and until <= self.at:
            return
        self._bell = bell
        self.resting.set()
        await bell.wait()

    async def set(self, at: datetime) -> None:
        """Set it, and wait until all that is due has happened."""
        self.at = at
        self.resting.clear()
        self._bell.set()
        await self.rest()

    async def rest(self) -> None:
        async with asyncio.timeout(20):
            await self.resting.wait()


class House:
    """A log with a deployment that has a live version, and its views."""

    def __init__(self, log: EventLog, views: Views, deployment_id: str) -> None:
        self.log, self.views, self.deployment_id = log, views, deployment_id

    async def schedule(self, since: str, **fields: Any) -> str:
        known = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "overlap": "allow", "catch_up": 0}
        created = rules.ScheduleCreated(
            schedule_id="sch_1",
            deployment_id=self.deployment_id,
            name=None,
            environment="production",
            since=utc(since),
            input={"topic": "x"},
            **{**known, **fields},
        )
        await self.log.append(Change(rules.stream(self.deployment_id), 0, [created]), author=AUTHOR)
        return "sch_1"

    async def timetable(self, clock: HandClock, server_id: str = "srv_1") -> Timetable:
        timetable = Timetable(self.log, self.views, server_id, clock)
        await timetable.open()
        await clock.rest()
        return timetable

    async def ticks(self) -> list[tuple[str, str]]:
        await self.views.reached(self.log.appended, 5)
        rows = await self.views.rows(view.HISTORY, schedule_id="sch_1", limit=100, offset=0)
        return [(row["at"][:16], row["outcome"]) for row in reversed(rows)]

    async def runs(self) -> list[dict[str, Any]]:
        await self.views.reached(self.log.appended, 5)
        return await self.views.rows(runs_view.listing(()), limit=100, offset=0)

    async def end(self, run_id: str) -> None:
        run, at = await self.log.load(run_id, run_rules.evolve)
        assert run is not None
        await self.log.append(Change(run_id, at, run_rules.fail(run, "error", "x")), author=AUTHOR)


@pytest.fixture(params=["sqlite", "postgres"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    async with AsyncExitStack() as stack:
        log = await open_log(tmp_path, url, installation_key(tmp_path / "key"), stack)
        views = Views(PostgresViews(url) if url else SqliteViews(tmp_path / "views.db"), log)
        await views.open()
        stack.push_async_callback(views.close)
        deployment_id = await deployments.create(log, "crew", AUTHOR)
        version = {"deployment_id": deployment_id, "version_id": "ver_1", "version_number": 1}
        made = [
            deployment_rules.VersionNumbered(**version, environment="production", framework="langgraph"),
            deployment_rules.VersionActivated(**version, environment="production", reason="deploy"),
        ]
        await log.append(Change(deployment_id, 1, made), author=AUTHOR)
        yield House(log, views, deployment_id)


async def by_the_hour(clock: HandClock, until: str) -> None:
    while clock.at < utc(until):
        await clock.set(clock.at + timedelta(minutes=30))


async def test_a_run_begins_at_each_time_with_the_schedules_input(house: House):
    await house.schedule("2026-06-01")
    clock = HandClock(utc("2026-06-01"))
    timetable = await house.timetable(clock)
    await by_the_hour(clock, "2026-06-03")
    await timetable.close()
    assert await house.ticks() == [("2026-06-01T00:30", "started"), ("2026-06-02T00:30", "started")]
    (second, first) = await house.runs()
    assert (first["schedule_id"], first["input"], first["status"]) == ("sch_1", '{"topic":"x"}', "pending")
    assert second["id"] != first["id"]


async def test_a_time_that_the_clocks_skip_in_spring_comes_right_after_the_skip(house: House):
    await house.schedule("2026-03-28T12:00")
    clock = HandClock(utc("2026-03-28T12:00"))
    timetable = await house.timetable(clock)
    await by_the_hour(clock, "2026-03-30T12:00")
    await timetable.close()
    assert await house.ticks() == [("2026-03-29T01:00", "started"), ("2026-03-30T00:30", "started")]


async def test_a_time_that_comes_twice_in_autumn_comes_to_one_run(house: House):
    await house.schedule("2026-10-24T12:00")
    clock = HandClock(utc("2026-10-24T12:00"))
    timetable = await house.timetable(clock)
    await by_the_hour(clock, "2026-10-26T12:00")
    await timetable.close()
    assert await house.ticks() == [("2026-10-25T00:30", "started"), ("2026-10-26T01:30", "started")]


async def test_after_a_downtime_the_newest_time_within_reach_is_made_up_for_and_the_others_are_missed(house: House):
    await house.schedule("2026-06-01", cron="0 * * * *", catch_up=3600)
    first = HandClock(utc("2026-06-01T00:30"))
    await (await house.timetable(first)).close()
    second = HandClock(utc("2026-06-01T05:40"))
    timetable = await house.timetable(second)
    await second.set(utc("2026-06-01T06:00"))
    await timetable.close()
    assert await house.ticks() == [
        ("2026-06-01T04:00", "missed"),
        ("2026-06-01T05:00", "started"),
        ("2026-06-01T06:00", "started"),
    ]
    missed = (await house.views.rows(view.HISTORY, schedule_id="sch_1", limit=1, offset=2))[0]
    assert (missed["first"][:16], missed["count"]) == ("2026-06-01T01:00", 4)


async def test_what_lies_further_back_than_it_reaches_is_missed(house: House):
    await house.schedule("2026-06-01", cron="@daily", timezone="UTC", catch_up=0)
    clock = HandClock(utc("2026-06-02T00:30"))
    await (await house.timetable(clock)).close()
    assert await house.ticks() == [("2026-06-02T00:00", "missed")]
    assert await house.runs() == []


async def test_a_restart_and_a_second_server_begin_nothing_twice(house: House):
    await house.schedule("2026-06-01", cron="* * * * *", timezone="UTC")
    one, two = HandClock(utc("2026-06-01")), HandClock(utc("2026-06-01"))
    both = [await house.timetable(one), await house.timetable(two, "srv_2")]
    for minute in range(1, 5):
        at = utc("2026-06-01") + timedelta(minutes=minute)
        await asyncio.gather(one.set(at), two.set(at))
    for timetable in both:
        await timetable.close()
    await (await house.timetable(HandClock(utc("2026-06-01T00:04")))).close()
    assert [outcome for _, outcome in await house.ticks()] == ["started"] * 4
    assert len(await house.runs()) == 4


async def test_with_skip_no_run_begins_while_one_goes_on(house: House):
    await house.schedule("2026-06-01", cron="* * * * *", overlap="skip")
    clock = HandClock(utc("2026-06-01"))
    timetable = await house.timetable(clock)
    await clock.set(utc("2026-06-01T00:01"))
    await clock.set(utc("2026-06-01T00:02"))
    await house.end((await house.runs())[0]["id"])
    await clock.set(utc("2026-06-01T00:03"))
    await timetable.close()
    assert [outcome for _, outcome in await house.ticks()] == ["started", "skipped", "started"]


async def test_with_queue_runs_wait_for_each_other(house: House):
    await house.schedule("2026-06-01", cron="* * * * *", overlap="queue")
    clock = HandClock(utc("2026-06-01"))
    timetable = await house.timetable(clock)
    await clock.set(utc("2026-06-01T00:01"))
    await timetable.close()
    run, _ = await house.log.load((await house.runs())[0]["id"], run_rules.evolve)
    assert run is not None
    assert run.turn_of == "sch_1"


async def test_a_time_without_a_live_version_is_skipped_and_says_why(house: House):
    await house.schedule("2026-06-01", cron="* * * * *")
    deployment, at = await deployments.find(house.log, "crew")
    await house.log.append(Change(deployment.id, at, deployment_rules.close(deployment)), author=AUTHOR)
    clock = HandClock(utc("2026-06-01"))
    timetable = await house.timetable(clock)
    await clock.set(utc("2026-06-01T00:01"))
    await timetable.close()
    assert [outcome for _, outcome in await house.ticks()] == ["skipped"]
    (row,) = await house.views.rows(view.HISTORY, schedule_id="sch_1", limit=9, offset=0)
    assert row["reason"] == "Deployment crew is being deleted"


async def test_a_paused_schedule_rests(house: House):
    await house.schedule("2026-06-01", cron="* * * * *")
    await schedules.pause(house.log, "crew", "sch_1", AUTHOR)
    clock = HandClock(utc("2026-06-01"))
    timetable = await house.timetable(clock)
    await clock.set(utc("2026-06-01T00:01"))
    await timetable.close()
    assert await house.ticks() == []
