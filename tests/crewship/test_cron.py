from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from crewship.cron import Cron
from domain.errors import BadRequest


def times(expression: str, zone: str, after: str, count: int) -> list[str]:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    return [at.strftime("%m-%dT%H:%M") for at in islice(Cron(expression, zone).after(moment), count)]


def test_names_steps_ranges_and_shortcuts_are_understood():
    assert times("*/20 9-10 * jan mon", "UTC", "2026-01-01", 4) == [
        *("01-05T09:00", "01-05T09:20", "01-05T09:40", "01-05T10:00")
    ]
    assert times("@daily", "Asia/Kolkata", "2026-01-01", 1) == ["01-01T18:30"]
    assert times("0 12 l * *", "UTC", "2026-02-01", 1) == ["02-28T12:00"]


def test_a_job_at_a_set_hour_runs_once_a_day_in_spring_and_in_autumn():
    assert times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", 2) == ["03-29T01:00", "03-30T00:30"]
    assert times("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", 2) == ["03-29T01:00", "03-30T00:00"]
    assert times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2) == ["10-25T00:30", "10-26T01:30"]
    assert times("30 2 * * *", "Europe/Berlin", "2026-10-25T01:00", 1) == ["10-26T01:30"]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana"])
def test_a_job_that_follows_the_hours_knows_no_gap_and_no_repetition(zone: str):
    for day in ("2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31"):
        begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
        found = list(islice(Cron("*/30 * * * *", zone).after(begin), 96))
        assert found == [begin + timedelta(minutes=30 * number) for number in range(1, 97)]


def test_half_an_hour_that_comes_twice_is_walked_through_twice():
    assert times("*/10 2 * * *", "Australia/Lord_Howe", "2026-04-04T14:50", 2) == ["04-04T15:30", "04-04T15:40"]


@pytest.mark.parametrize(
    ("expression", "zone", "message"),
    [
        ("* * * *", "UTC", "cron: expected five fields"),
        ("0 * * * * *", "UTC", "cron: expected five fields"),
        ("@reboot", "UTC", "cron: expected five fields"),
        ("61 * * * *", "UTC", "cron: bad minute"),
        ("0 0 31 feb *", "UTC", "cron: bad day-of-month"),
        ("0 0 * * *", "Mars/Olympus", "timezone: 'Mars/Olympus' is not an IANA time zone"),
        ("0 0 * * *", "../etc/passwd", "timezone: "),
    ],
)
def test_what_no_clock_can_keep_is_refused_by_its_field(expression: str, zone: str, message: str):
    with pytest.raises(BadRequest) as refusal:
        Cron(expression, zone)
    assert refusal.value.message.startswith(message)
