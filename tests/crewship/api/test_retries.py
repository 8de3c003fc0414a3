"""Runs that are tried again, on real servers with a real project."""

import json
import time
from pathlib import Path

import pytest

from tests import projects
from tests.server import Api, ServerProcess

FLAKY = """\
    import os
    attempt = int(os.environ["CREWSHIP_ATTEMPT"])
    print("attempt", attempt, flush=True)
    open(f"artifacts/{attempt}.txt", "w").write("x")
    if attempt <= state.get("fails", 0):
        if state.get("sleeps"):
            time.sleep(state["sleeps"])
        raise ValueError(f"attempt {attempt} of it")
"""
GRAPH = projects.GRAPH.replace("    said: Any\n", "    said: Any\n    fails: int\n    sleeps: float\n").replace(
    '    """Take the steps."""\n', '    """Take the steps."""\n' + FLAKY
)


def project(attempts: int, backoff: str, more: str = "") -> dict[str, str]:
    retry = f'[deployment.retry]\nattempts = {attempts}\nbackoff = "{backoff}"\n'
    return {**projects.PROBE, "crewship.toml": projects.MANIFEST + retry + more, "graph.py": GRAPH}


def start(api: Api, name: str, **given) -> str:
    return api.client.post("/v1/runs", json={"deployment_id": name, "input": given}).json()["run_id"]


def until_retried(api: Api, run_id: str, attempt: int = 2) -> None:
    deadline = time.monotonic() + 60
    while (run := api.client.get(f"/v1/runs/{run_id}").json())["attempt"] != attempt:
        assert time.monotonic() < deadline, run
        time.sleep(0.02)


@pytest.fixture(scope="module")
def flaky(api: Api) -> Api:
    assert api.deploy("flaky", project(3, "0s"))["status"] == "ready"
    assert api.deploy("patient", project(2, "1h", "[deployment.limits]\nmax_concurrency = 1\n"))["status"] == "ready"
    return api


def test_a_run_that_fails_is_tried_again_and_ends_once(flaky: Api):
    run = flaky.wait(start(flaky, "flaky", fails=2))
    assert (run["status"], run["attempt"], run["error_message"]) == ("succeeded", 3, None)
    events = list(flaky.events(f"/v1/runs/{run['id']}/events"))
    told = [(one["event"], one["data"]["payload"]) for one in events]
    retried = [payload for kind, payload in told if kind == "run.retried"]
    assert [(one["attempt"], one["reason"], one["error"]) for one in retried] == [
        (2, "error", "ValueError: attempt 1 of it"),
        (3, "error", "ValueError: attempt 2 of it"),
    ]
    assert [kind for kind, _ in told if kind.startswith("run.")] == [
        "run.created",
        *["run.started", "run.retried"] * 2,
        "run.started",
        "run.completed",
    ]
    logs = [payload["message"] for kind, payload in told if kind == "log"]
    assert [line for line in logs if line.startswith("attempt")] == ["attempt 1", "attempt 2", "attempt 3"]
    artifacts = flaky.client.get(f"/v1/runs/{run['id']}/artifacts").json()["artifacts"]
    assert [artifact["name"] for artifact in artifacts] == ["3.txt"]


def test_the_last_attempt_decides(flaky: Api):
    run = flaky.wait(start(flaky, "flaky", fails=9))
    assert (run["status"], run["reason"], run["attempt"]) == ("failed", "error", 3)
    assert run["error_message"] == "ValueError: attempt 3 of it"


def test_a_run_in_a_thread_keeps_it_between_attempts_and_leaves_one_state(flaky: Api):
    thread_id = flaky.client.post("/v1/threads", json={"deployment_id": "flaky"}).json()["thread_id"]
    given = {"input": {"fails": 1, "steps": [["say", "well"]]}}
    run_id = flaky.client.post(f"/v1/threads/{thread_id}/runs", json=given).json()["run_id"]
    assert flaky.wait(run_id)["attempt"] == 2
    thread = flaky.client.get(f"/v1/threads/{thread_id}").json()
    assert (thread["status"], thread["values"]["said"]) == ("idle", "well")
    history = flaky.client.get(f"/v1/threads/{thread_id}/history").json()["checkpoints"]
    assert [one["run_id"] for one in history] == [run_id]
    steps = flaky.client.get(f"/v1/threads/{thread_id}/history?steps=true").json()["checkpoints"]
    assert len(steps) == 5  # two that the failed attempt reached, three of the good one


def test_a_waiting_run_holds_no_place_and_can_be_canceled(flaky: Api):
    waiting = start(flaky, "patient", fails=1)
    until_retried(flaky, waiting)
    assert flaky.client.get(f"/v1/runs/{waiting}").json()["status"] == "pending"
    assert flaky.wait(start(flaky, "patient"))["status"] == "succeeded"
    assert flaky.client.post(f"/v1/runs/{waiting}/cancel").json() == {"success": True, "status": "canceled"}
    assert flaky.wait(waiting)["status"] == "canceled"


def test_attempts_survive_a_killed_server_while_waiting_and_while_running(tmp_path: Path):
    server = ServerProcess(tmp_path / "data").start()
    with server.client() as client:
        api = Api(client)
        api.deploy("flaky", project(2, "3s"))
        waits, runs = start(api, "flaky", fails=1), start(api, "flaky", fails=1, sleeps=4)
        until_retried(api, waits)
        api.until(runs, "running")
    server.kill()
    server.start()
    with server.client() as client:
        api = Api(client)
        for run_id in (waits, runs):
            run = api.wait(run_id)
            assert (run["status"], run["attempt"]) == ("succeeded", 2), run
            logs = [json.dumps(one["data"]) for one in api.events(f"/v1/runs/{run_id}/events?types=log")]
            assert [sum(f"attempt {n}" in line for line in logs) for n in (1, 2)] == [1, 1]
    assert server.stop() == 0
