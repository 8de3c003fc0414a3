"""Erasure with real servers and real files: what was erased is in none of them, whenever the server died meanwhile."""

import json
import os
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests import projects
from tests.e2e.test_operations import crewship
from tests.server import DEADLINE, Api, ServerProcess

SECRET = b"Katherine Johnson"
WORD = SECRET.decode()
MANY = 300_000
POINTS = ("blob.after:1", "key.after:1")
MORE_POINTS = ("append.after:1", "blob.before:1", "blob.before:2", "key.before:1", "key.after:2")
"""From the decision on: before each of the steps that follow from it, and after them."""


def files_with(folder: Path, words: bytes = SECRET) -> list[str]:
    """The files below a folder that hold these words, or whose name does; environments are everybody's."""
    return [
        str(path.relative_to(folder))
        for parent, _, names in os.walk(folder)
        for path in (Path(parent) / name for name in names)
        if not path.is_symlink() and (words in path.read_bytes() or words in str(path).encode())
    ]


def worked(server: ServerProcess) -> tuple[str, str, str]:
    """A server on which somebody was spoken of: a run, a thread, and the thread's run."""
    with server.client() as client:
        api = Api(client)
        api.deploy("probe")
        api.deploy("chat", projects.CHAT)
        large = WORD + "x" * MANY
        run = api.run("probe", ["print", WORD], ["write", f"{WORD}.txt", WORD], ["print", large], ["say", large])
        assert run["status"] == "succeeded"
        failed = api.run("probe", ["print", WORD], ["raise", WORD])
        thread = client.post("/v1/threads", json={"deployment_id": "chat", "metadata": {"of": WORD}}).json()[
            "thread_id"
        ]
        turns = []
        for message in (f"I am {WORD}", "delete me", large):
            turn = client.post(f"/v1/threads/{thread}/runs", json={"input": {"message": message}})
            assert turn.status_code == 202, turn.text
            api.wait(turn.json()["run_id"])
            turns.append(turn.json()["run_id"])
        assert client.delete(f"/v1/runs/{failed['id']}/data").status_code == 200
        return run["id"], thread, turns[0]


@pytest.fixture(scope="module")
def spoken_of(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServerProcess, str, str, str]:
    server = ServerProcess(tmp_path_factory.mktemp("erasure") / "data").start()
    run_id, thread_id, turn_id = worked(server)
    assert files_with(server.data), "there is nothing to be erased"
    return server, run_id, thread_id, turn_id


def test_what_was_erased_is_in_no_file_and_the_log_still_verifies(
    spoken_of: tuple[ServerProcess, str, str, str], tmp_path: Path
):
    server, run_id, thread_id, turn_id = spoken_of
    head = crewship("audit", "head", "--now", url=server.url).stdout.strip()
    told = json.loads(crewship("runs", "erase", run_id, "--yes", "--json", url=server.url).stdout)
    assert told["destroyed_at"]
    assert "the data of 3 of its runs" in crewship("thread", "erase", thread_id, "--yes", url=server.url).stdout
    assert files_with(server.data) == []
    assert "erased" in crewship("runs", "get", run_id, url=server.url).stdout
    with server.client() as client:
        assert SECRET not in client.get("/v1/runs").content
        lived = [client.get(path).json() for path in (f"/v1/runs/{run_id}", f"/v1/threads/{thread_id}")]
        renewed = client.post("/v1/views/rebuild")
        assert renewed.status_code == 202, renewed.text
        until(lambda: client.get("/v1/views").json()["rebuild"]["state"] == "done")
        assert [client.get(path).json() for path in (f"/v1/runs/{run_id}", f"/v1/threads/{thread_id}")] == lived
    assert files_with(server.data) == []
    assert server.stop() == 0
    assert files_with(server.data) == []
    assert "✅" in crewship("audit", "verify", "--data", str(server.data), "--head", head).stdout
    archive, there = tmp_path / "moved.tar", tmp_path / "there"
    crewship("export", str(archive), "--data", str(server.data))
    assert SECRET not in archive.read_bytes()
    crewship("import", str(archive), "--data", str(there))
    moved = ServerProcess(there).start()
    with moved.client() as client:
        assert [client.get(path).json() for path in (f"/v1/runs/{run_id}", f"/v1/threads/{thread_id}")] == lived
        assert client.get(f"/v1/runs/{turn_id}").json()["erased"] is True
    assert moved.stop() == 0


def until(holds, what: str = "it did not come to that") -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """A server that can be told where to die, with a run to be erased for each of those points."""
    server = ServerProcess(tmp_path_factory.mktemp("mortal") / "data")
    server.program = [sys.executable, "-m", "tests.crash.points"]
    server.start()
    with server.client() as client:
        Api(client).deploy("probe")
    assert server.stop() == 0
    return server


@pytest.mark.parametrize("point", [*POINTS, *(pytest.param(one, marks=pytest.mark.long) for one in MORE_POINTS)])
def test_a_server_that_dies_meanwhile_has_finished_after_its_next_start(mortal: ServerProcess, point: str):
    words = f"{WORD} {point}"
    mortal.start()
    with mortal.client() as client:
        api = Api(client)
        runs = [
            api.run("probe", ["print", words], ["write", "a.txt", words], ["write", "b.txt", f"{words} {one}"])["id"]
            for one in range(2)
        ]
    assert mortal.stop() == 0
    mortal.start(CREWSHIP_CRASH_AT=point)
    decided = 0
    with mortal.client() as client:
        for run_id in runs:
            try:
                answer = client.delete(f"/v1/runs/{run_id}/data")
                assert answer.status_code == 200, answer.text
                decided += 1
            except httpx.TransportError:
                break
    assert decided < 2, f"it did not die at {point}"
    mortal.kill()
    mortal.start()
    with mortal.client() as client:
        # Nobody asks again for what was decided; what was not decided yet is.
        for run_id in runs[: decided + 1]:
            until(lambda run_id=run_id: gone(client, run_id), f"{run_id} was not erased after {point}")
        for run_id in runs[decided + 1 :]:
            assert client.delete(f"/v1/runs/{run_id}/data").status_code == 200
    assert files_with(mortal.data, words.encode()) == []
    assert mortal.stop() == 0
    assert "✅" in crewship("audit", "verify", "--data", str(mortal.data)).stdout


def gone(client: httpx.Client, run_id: str) -> bool:
    """Whether the log says that a run's data are destroyed."""
    return bool(client.get("/v1/events", params={"stream": f"{run_id}:erasure"}).json()["events"])
