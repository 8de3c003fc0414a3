"""The server and the runner are killed at random points of thread runs: afterwards every thread takes a new run."""

import random
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import projects
from tests.server import Api, ServerProcess

TERMINAL = {"run.completed", "run.failed", "run.canceled"}


def kill_a_runner(run_ids: list[str], chance: random.Random) -> None:
    """SIGKILL one of the processes of these runs' sandboxes."""
    found = subprocess.run(["pgrep", "-f", "|".join(run_ids)], capture_output=True, text=True, check=False)
    pids = found.stdout.split()
    if pids:
        subprocess.run(["kill", "-KILL", chance.choice(pids)], check=False, capture_output=True)


def check(api: Api, thread_id: str, run_id: str, said: str) -> None:
    """The run has one terminal event, at its end; the thread is free and takes another run, which remembers."""
    run = api.wait(run_id)
    events = list(api.events(f"/v1/runs/{run_id}/events"))
    ends = [number for number, event in enumerate(events) if event["event"] in TERMINAL]
    assert ends == [len(events) - 1], [event["event"] for event in events]
    thread = api.client.get(f"/v1/threads/{thread_id}").json()
    assert (thread["status"], thread["running_run_id"]) == ("idle", None), (thread, run)
    before = [message["content"] for message in thread["values"].get("messages", [])]
    assert (said in before) == (run["status"] == "succeeded"), (before, run)
    body = {"input": {"message": "after"}}
    following = api.client.post(f"/v1/threads/{thread_id}/runs", json=body)
    assert following.status_code == 202, following.text
    run = api.wait(following.json()["run_id"])
    assert run["status"] == "succeeded", run
    after = [message["content"] for message in run["output"]["messages"]]
    assert after[: len(before)] == before
    assert after[len(before)] == "after"


def crash(folder: Path, seed: int, rounds: int) -> int:
    """Rounds of a few thread runs each, with a kill at some point of each round; returns the number of runs."""
    chance = random.Random(seed)
    server = ServerProcess(folder / "data").start()
    with server.client() as client:
        api = Api(client)
        api.deploy("chat", projects.CHAT)
        threads = [client.post("/v1/threads", json={"deployment_id": "chat"}).json()["thread_id"] for _ in range(4)]
    count = 0
    for number in range(rounds):
        said = f"sleep {chance.uniform(0.05, 0.6):.2f} round {number}"
        started: list[tuple[str, str]] = []
        with server.client() as client:
            for thread_id in threads:
                answer = client.post(f"/v1/threads/{thread_id}/runs", json={"input": {"message": said}})
                assert answer.status_code == 202, answer.text
                started.append((thread_id, answer.json()["run_id"]))
        time.sleep(chance.uniform(0, 2.5))
        if chance.random() < 0.4:
            kill_a_runner([run_id for _, run_id in started], chance)
        else:
            server.kill()
            if chance.random() < 0.5:
                kill_a_runner([run_id for _, run_id in started], chance)
            server.start()
        with server.client() as client:
            for thread_id, run_id in started:
                check(Api(client), thread_id, run_id, said)
                count += 2
    assert server.stop() == 0
    assert not list((folder / "data" / "runs").iterdir())
    return count


def test_threads_survive_a_few_kills(tmp_path: Path):
    assert crash(tmp_path, seed=1, rounds=3) == 24


@pytest.mark.long
def test_threads_survive_200_killed_runs(tmp_path: Path):
    assert crash(tmp_path, seed=2, rounds=50) == 400


@pytest.mark.long
def test_of_two_posts_in_one_instant_one_is_taken_a_thousand_times(api: Api, server: ServerProcess):
    from concurrent.futures import ThreadPoolExecutor

    api.deploy("chat", projects.CHAT)
    with ThreadPoolExecutor(2) as pool, server.client() as one, server.client() as other:
        for number in range(1000):
            thread_id = api.client.post("/v1/threads", json={"deployment_id": "chat"}).json()["thread_id"]
            url = f"/v1/threads/{thread_id}/runs"

            def post(client: httpx.Client, url: str = url, number: int = number) -> Any:
                return client.post(url, json={"input": {"message": f"{number}"}})

            answers = list(pool.map(post, (one, other)))
            assert sorted(answer.status_code for answer in answers) == [202, 409]
            run_id = next(answer.json()["run_id"] for answer in answers if answer.status_code == 202)
            refused = next(answer.json() for answer in answers if answer.status_code == 409)
            assert refused["error"]["running_run_id"] == run_id
            api.client.post(f"/v1/runs/{run_id}/cancel")
