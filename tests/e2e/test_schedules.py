"""Schedules by the wall clock, which takes minutes."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.server import Api, ServerProcess

PLANS = "/v1/deployments/probe/schedules"
DEADLINE = 200.0


def until_started(client: Any, schedule_id: str, count: int) -> list[dict[str, Any]]:
    """What came of the schedule's times, oldest first, once so many runs of it have begun."""
    deadline = time.monotonic() + DEADLINE
    while True:
        runs: list[dict[str, Any]] = client.get(f"/v1/runs?schedule_id={schedule_id}").json()["runs"]
        if sum(run["started_at"] is not None for run in runs) >= count:
            return runs[::-1]
        assert time.monotonic() < deadline, runs
        time.sleep(0.5)


@pytest.mark.long
def test_queued_runs_begin_on_the_minute_one_after_the_other_across_a_kill(tmp_path: Path):
    server = ServerProcess(tmp_path / "data").start()
    with server.client() as client:
        Api(client).deploy("probe")
        plan = {"cron": "* * * * *", "overlap": "queue", "input": {"steps": [["sleep", 70]]}}
        schedule_id = client.post(PLANS, json=plan).json()["id"]
        until_started(client, schedule_id, 1)
    server.kill()
    server.start()
    with server.client() as client:
        first, second, *_ = until_started(client, schedule_id, 2)
        client.delete(f"{PLANS}/{schedule_id}")
        assert second["started_at"] >= first["completed_at"]
        history = client.get(f"/v1/runs?schedule_id={schedule_id}").json()["runs"]
        assert len({run["created_at"][:16] for run in history}) == len(history)
        for run in history:
            client.post(f"/v1/runs/{run['id']}/cancel")
    server.stop()
