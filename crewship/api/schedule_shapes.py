"""What the API answers about schedules, as structs; see shapes.py."""

from typing import Any

import msgspec

from domain.deployment import Environment
from domain.schedule import Outcome, Overlap


class Schedule(msgspec.Struct, kw_only=True):
    """Runs that begin by the clock. `next` are its next times, `last_at` the last that came to something."""

    id: str
    deployment_id: str
    name: str | None
    cron: str
    timezone: str
    environment: Environment
    input: dict[str, Any] | None
    overlap: Overlap
    catch_up_seconds: int
    status: str
    next: list[str]
    last_at: str | None
    last_run_id: str | None
    created_at: str
    updated_at: str


class Schedules(msgspec.Struct):
    """Schedules, newest first."""

    schedules: list[Schedule]


class Tick(msgspec.Struct, kw_only=True):
    """What came of a time. A missed one stands for `count` times, from `first` on."""

    at: str
    outcome: Outcome
    run_id: str | None
    reason: str | None
    first: str | None
    count: int
    recorded_at: str


class Ticks(msgspec.Struct):
    """Times, newest first."""

    history: list[Tick]
