"""What must hold after any crash, looked at from outside."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.crash.workload import LINES, TERMINAL, Ledger, follow
from tests.docker import docker
from tests.server import Api, ServerProcess

SECONDS = 90.0


def after_a_restart(server: ServerProcess, ledger: Ledger, *, in_docker: bool) -> None:
    """On a server that runs again: all that was acknowledged is there, all ended once, nothing is left over."""
    with server.client() as client:
        api = Api(client)
        for run in ledger.runs.values():
            if "run_id" in run:
                _a_plain_run(api, run, run["run_id"] in ledger.canceled)
        for thread_id, run_ids in ledger.threads.items():
            _a_thread(api, thread_id, run_ids)
        named = {one["name"] for one in client.get("/v1/deployments/probe/env").json()["variables"]}
        assert ledger.variables <= named, f"variables that were set are gone: {ledger.variables - named}"
        for version_id in ledger.versions:
            events = list(api.events(f"/v1/versions/{version_id}/events"))
            assert events[-1]["event"] == "version.ready", events[-1]
        everything = _all(client, "/v1/runs", "runs")
        assert {run["status"] for run in everything} <= {"succeeded", "failed", "canceled"}
        lost = [run["id"] for run in everything if run["status"] == "failed" and run["reason"] == "start_failed"]
        assert not lost, f"runs did not start because of a crash: {lost}"
        assert len({run["id"] for run in everything}) == len(everything)
        for watched in ledger.watched.values():
            follow(server, watched)
            told = list(api.events(f"/v1/runs/{watched.run_id}/events"))
            assert watched.seen == told, f"the stream of {watched.run_id} across the crashes is not that of the log"
            ends = [number for number, event in enumerate(told) if event["event"] in TERMINAL]
            assert ends == [len(told) - 1], f"{watched.run_id} ended {len(ends)} times"
    _nothing_left(server, in_docker=in_docker)


def _a_plain_run(api: Api, asked: dict[str, Any], canceled: bool) -> None:
    run = api.wait(asked["run_id"])
    if canceled:
        assert run["status"] == "canceled", f"a cancel was acknowledged, and then: {run}"
    if run["status"] != "succeeded":
        return
    key = asked["input"]["steps"][-1][1]
    assert run["output"]["said"] == key, run
    logged = [
        event["data"]["message"] for event in api.events(f"/v1/runs/{run['id']}/events") if event["event"] == "log"
    ]
    assert [line for line in logged if line.startswith("line ")] == [f"line {number}" for number in range(LINES)], (
        logged
    )
    artifacts = api.client.get(f"/v1/runs/{run['id']}/artifacts").json()["artifacts"]
    assert len(artifacts) == 1, artifacts
    assert api.client.get(f"/v1/runs/{run['id']}/artifacts/{artifacts[0]['name']}").text == key


def _a_thread(api: Api, thread_id: str, run_ids: list[str]) -> None:
    """It is free, and remembers what was said in the runs that went well, in their order, and nothing else."""
    runs = [api.wait(run_id) for run_id in run_ids]
    deadline = time.monotonic() + SECONDS
    while (thread := api.client.get(f"/v1/threads/{thread_id}").json())["status"] == "busy":
        # A run that was accepted without our hearing of it may still be under way.
        assert time.monotonic() < deadline, f"{thread_id} stays busy: {thread}"
        time.sleep(0.1)
    assert thread["status"] == "idle", thread
    said = [message["content"] for message in thread["values"].get("messages", []) if message["type"] == "human"]
    well = [run["input"]["message"] for run in runs if run["status"] == "succeeded"]
    assert [message for message in said if message in well] == well, (said, well)
    unheard = {run["input"]["message"] for run in runs if run["status"] != "succeeded"}
    assert not unheard & set(said), (unheard, said)


def _all(client: Any, path: str, plural: str) -> list[Any]:
    found: list[Any] = []
    while page := client.get(path, params={"limit": 100, "offset": len(found)}).json()[plural]:
        found += page
    return found


def _nothing_left(server: ServerProcess, *, in_docker: bool) -> None:
    """No folder, half-written file, process or container of a run that has ended."""
    deadline = time.monotonic() + SECONDS
    while left := [*_files(server.data), *_processes(server), *(_containers(server.data) if in_docker else ())]:
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.2)


def _files(data: Path) -> list[str]:
    folders = (data / "runs", data / "blobs" / "incoming")
    return [str(found) for folder in folders if folder.exists() for found in folder.iterdir()]


def _processes(server: ServerProcess) -> list[str]:
    found = subprocess.run(["pgrep", "-f", str(server.data)], capture_output=True, text=True, check=False)
    return [pid for pid in found.stdout.split() if int(pid) != server.pid]


def _containers(data: Path) -> list[str]:
    import json

    label = f"label=crewship.server_id={json.loads((data / 'server.json').read_bytes())['server_id']}"
    held = docker("ps", "--all", "--quiet", "--filter", label).split()
    return held + docker("volume", "ls", "--quiet", "--filter", label).split()


def of_a_stopped_server(data: Path) -> None:
    """The views say what a rebuild from the log says."""
    before = _views(data)
    command = [str(Path(sys.executable).parent / "crewship"), "views", "rebuild", "--data", str(data)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    after = _views(data)
    for table, rows in before.items():
        assert rows == after[table], f"the view {table} is not what the log says"


def _views(data: Path) -> dict[str, list[Any]]:
    with sqlite3.connect(data / "views.db") as db:
        # How far they are is kept now and then: reading on from an older place changes nothing.
        query = "SELECT name FROM sqlite_master WHERE type='table' AND name <> 'view_cursor' ORDER BY name"
        tables = [name for (name,) in db.execute(query)]
        return {table: sorted(db.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr) for table in tables}
