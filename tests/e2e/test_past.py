"""A server on the past answers byte for byte as the server did then, and changes nothing."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_operations import crewship
from tests.server import Api, ServerProcess, parse

CREWSHIP = str(Path(sys.executable).parent / "crewship")
DEADLINE = 60.0
STREAM = {"Accept": "text/event-stream"}


@contextmanager
def past(folder: Path, *words: str) -> Iterator[httpx.Client]:
    """`crewship replay` over a folder."""
    command = [CREWSHIP, "replay", "--data", str(folder), *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = key = ""
    for line in process.stderr:
        url = line.rpartition(" ")[2].strip() if line.startswith("Crewship shows the past") else url
        if line.startswith("key "):
            key = line.split()[1]
            break
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=DEADLINE) as client:
            yield client
    finally:
        process.terminate()
        rest = process.stderr.read()
        process.stderr.close()
        assert process.wait(DEADLINE) == 0, rest


def answers(client: httpx.Client, paths: list[str]) -> tuple[int, dict[str, bytes]]:
    """The answers to all paths at one position of the log."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        found = {path: client.get(path) for path in paths}
        assert all(answer.status_code == 200 for answer in found.values()), found
        positions = {answer.headers["Crewship-Position"] for answer in found.values()}
        if len(positions) == 1:
            return int(positions.pop()), {path: answer.content for path, answer in found.items()}
    raise TimeoutError("the log does not rest")


def story(api: Api) -> tuple[list[tuple[int, dict[str, bytes]]], str]:
    """Let things happen, and note at three moments what the server says; returns that and the run that goes on."""
    done = api.run("probe", ["print", "hello"], ["write", "a.txt", "bytes"])["id"]
    paths = ["/v1/runs?limit=100", "/v1/deployments", f"/v1/runs/{done}", f"/v1/runs/{done}/artifacts/a.txt"]
    paths += ["/v1/api-keys", "/v1/deployments/probe/env", "/v1/deployments/probe/versions", "/v1/events?limit=1000"]
    moments = [answers(api.client, paths)]
    long = api.start("probe", ["print", "begun"], ["sleep", 600])
    api.until(long, "running")
    with api.client.stream("GET", f"/v1/runs/{long}/events") as stream:
        next(event for event in parse(stream.iter_lines()) if event["data"].get("message") == "begun")
    api.client.put("/v1/deployments/probe/env", json={"variables": {"LATER": "x"}})
    moments.append(answers(api.client, [*paths, f"/v1/runs/{long}"]))
    api.client.post(f"/v1/runs/{long}/cancel")
    api.client.delete("/v1/deployments/probe/env/LATER")
    moments.append(answers(api.client, [*paths, f"/v1/runs/{long}"]))
    return moments, long


@pytest.fixture(scope="module")
def told(api: Api) -> Any:
    return story(api)


def test_it_answers_as_the_server_did_then(told: Any, server: ServerProcess):
    for position, expected in told[0]:
        with past(server.data, "--until", f"evt_{position:03d}") as client:
            for path, content in expected.items():
                answer = client.get(path)
                assert answer.content == content, path
                assert answer.headers["Crewship-Position"] == str(position)


def test_nothing_can_be_changed_there_and_streams_end(told: Any, server: ServerProcess):
    (position, _), long = told[0][1], told[1]
    with past(server.data, "--until", str(position)) as client:
        for method, path in (
            ("POST", "/v1/runs"),
            ("DELETE", "/v1/deployments/probe"),
            ("PUT", "/v1/deployments/p/env"),
        ):
            answer = client.request(method, path, json={"deployment_id": "probe"})
            assert answer.status_code == 403, path
            assert f"evt_{position:03d}" in answer.json()["error"]["message"]
        assert client.get(f"/v1/runs/{long}/wait?timeout=30").json()["status"] == "running"
        with client.stream("GET", f"/v1/runs/{long}/events") as stream:
            events = list(parse(stream.iter_lines()))
        assert "begun" in [event["data"].get("message") for event in events]
        assert not [event for event in events if event["event"] == "run.canceled"]
        last = {"Last-Event-ID": events[-1]["id"]}
        assert client.get(f"/v1/runs/{long}/events", headers=last).status_code == 204
        with client.stream("GET", "/v1/events?after=0", headers=STREAM) as stream:
            assert [event["id"] for event in parse(stream.iter_lines())][-1] == f"evt_{position:03d}"
        assert client.get("/v1/runs", headers={"Authorization": "Bearer csk_0_0"}).status_code == 401


def test_a_moment_names_the_position_of_that_moment(told: Any, api: Api, server: ServerProcess):
    position = told[0][0][0]
    (event,) = api.client.get("/v1/events", params={"after": position - 1, "limit": 1}).json()["events"]
    with past(server.data, "--at", event["timestamp"]) as client:
        shown = int(client.get("/readyz").headers["Crewship-Position"])
        later = api.client.get("/v1/events", params={"after": shown, "limit": 1}).json()["events"]
    assert shown >= position
    assert all(one["timestamp"] > event["timestamp"] for one in later)


def test_a_run_plays_again_as_it_happened(told: Any, server: ServerProcess):
    long = told[1]
    live = crewship("runs", "events", long, "--json", url=server.url).stdout
    assert crewship("replay", long, "--speed", "1000", "--json", url=server.url).stdout == live
    assert "canceled" in crewship("replay", long, "--speed", "1000", url=server.url).stdout.lower()


def test_what_makes_no_sense_is_said_so(server: ServerProcess, tmp_path: Path):
    assert "name a run" in crewship("replay", code=2).stderr
    folder = ("--data", str(server.data))
    assert "evt_" in crewship("replay", "--until", "999999999", *folder, code=2).stderr
    assert "--at" in crewship("replay", "--at", "yesterday", *folder, code=2).stderr
    assert "log.db" in crewship("replay", "--until", "3", "--data", str(tmp_path), code=2).stderr
    assert list(tmp_path.iterdir()) == []
