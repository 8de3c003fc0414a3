"""Schedules and what came of their times, for the golden log."""

from datetime import UTC, datetime

from crewship.eventlog import Change
from domain import output, run, schedule

AT = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
STORED = output.Stored(sha256="ab" * 32, size=300_000, preview="{")


def schedules() -> list[Change]:
    """A schedule through all that can happen to it, one that is gone, and a time of each outcome."""
    created = schedule.ScheduleCreated(
        schedule_id="sch_1",
        deployment_id="dep_1",
        name="nightly",
        cron="0 3 * * *",
        timezone="Europe/Berlin",
        environment="production",
        overlap="queue",
        catch_up=3600,
        since=AT,
        input={"topic": "x"},
    )
    changed = schedule.ScheduleChanged(schedule_id="sch_1", since=AT, cron="@daily", stored_input=STORED)
    other = schedule.ScheduleCreated(
        schedule_id="sch_2",
        deployment_id="dep_1",
        name=None,
        cron="* * * * *",
        timezone="UTC",
        environment="staging",
        overlap="skip",
        catch_up=0,
        since=AT,
        input={},
    )
    events: list[schedule.ScheduleEvent] = [
        created,
        changed,
        schedule.SchedulePaused(schedule_id="sch_1"),
        schedule.ScheduleResumed(schedule_id="sch_1", since=AT),
        other,
        schedule.ScheduleDeleted(schedule_id="sch_2"),
    ]
    started = schedule.Ticked(schedule_id="sch_1", deployment_id="dep_1", at=AT, outcome="started", run_id="run_10")
    missed = schedule.Ticked(
        schedule_id="sch_1", deployment_id="dep_1", at=AT.replace(day=4), outcome="missed", first=AT, count=2
    )
    skipped = schedule.Ticked(
        schedule_id="sch_1", deployment_id="dep_1", at=AT.replace(day=5), outcome="skipped", reason="busy"
    )
    requested = run.RunRequested(
        run_id="run_10",
        deployment_id="dep_1",
        version_id="ver_1",
        version_number=1,
        environment="production",
        input={"topic": "x"},
        schedule_id="sch_1",
        in_turn=True,
    )
    ticks = [Change(schedule.tick_stream("sch_1", tick.at), 0, [tick]) for tick in (started, missed, skipped)]
    ended = run.RunFailed(run_id="run_10", reason="expired", error="waited")
    return [Change(schedule.stream("dep_1"), 0, events), *ticks, Change("run_10", 0, [requested, ended])]
