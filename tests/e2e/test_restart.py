"""A server that dies and comes back: nothing is lost, nothing is stuck, nothing is said twice."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import projects
from tests.server import Api, ServerProcess


@pytest.fixture(params=["sqlite", "postgres"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of the test's own, on either database."""
    options = ["--log", request.getfixturevalue("postgres_url")] if request.param == "postgres" else []
    process = ServerProcess(tmp_path / "data", *options).start()
    yield process
    process.stop()


def resume(server: ServerProcess, url: str, seen: list[dict[str, Any]], enough: Callable[[], bool]) -> None:
    """Read on from where `seen` ends until it is enough or the stream ends."""
    with server.client() as client:
        try:
            for event in Api(client).events(url, last=seen[-1]["id"] if seen else None):
                seen.append(event)
                if enough():
                    return
        except httpx.HTTPError:
            return


def test_runs_go_on_while_the_server_is_dead_and_their_streams_with_them(own: ServerProcess):
    with own.client() as client:
        api = Api(client)
        api.deploy("probe")
        runs = [api.start("probe", ["slowly", 60, 0.03]) for _ in range(4)]
        urls = [f"/v1/runs/{run_id}/events" for run_id in runs]
        seen: list[list[dict[str, Any]]] = [[] for _ in runs]
        for url, events in zip(urls, seen, strict=True):
            resume(own, url, events, lambda events=events: len(events) > 8)  # type: ignore[misc]
    own.kill()
    own.start()
    with own.client() as client:
        api = Api(client)
        for run_id, url, events in zip(runs, urls, seen, strict=True):
            resume(own, url, events, lambda: False)
            run = api.wait(run_id)
            assert run["status"] == "succeeded", run
            lines = [event["data"]["message"] for event in events if event["event"] == "log"][1:]
            assert lines == [f"line {number}" for number in range(60)]
            assert events == list(api.events(url))
            assert [event["event"] for event in events][-1] == "run.completed"


def test_a_cancel_that_was_accepted_before_a_crash_happens_after_it(own: ServerProcess):
    with own.client() as client:
        api = Api(client)
        api.deploy("probe")
        run_id = api.start("probe", ["print", "begun"], ["stubborn"])
        for event in api.events(f"/v1/runs/{run_id}/events"):
            if event["data"].get("message") == "begun":
                break
        # The run does not heed being told to stop, so the request waits for its grace period to pass.
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"/v1/runs/{run_id}/cancel", timeout=1)
    own.kill()
    own.start()
    with own.client() as client:
        assert Api(client).wait(run_id)["status"] == "canceled"


def test_a_pending_run_starts_after_a_restart(tmp_path: Path):
    server = ServerProcess(tmp_path / "data", CREWSHIP_CONCURRENCY="1").start()
    with server.client() as client:
        api = Api(client)
        api.deploy("probe")
        first = api.start("probe", ["slowly", 20, 0.1])
        second = api.start("probe", ["say", "second"])
        api.until(first, "running")
        assert client.get(f"/v1/runs/{second}").json()["status"] == "pending"
    server.kill()
    server.start()
    with server.client() as client:
        api = Api(client)
        assert api.wait(first)["status"] == "succeeded"
        assert api.wait(second)["output"]["said"] == "second"
    server.stop()


def test_a_build_that_was_cut_off_is_done_after_a_restart(own: ServerProcess):
    with own.client() as client:
        client.post("/v1/deployments", json={"name": "cut"})
        answer = client.post("/v1/deployments/cut/versions", content=projects.pack(projects.PROBE))
        version_id = answer.json()["version_id"]
    own.kill()
    own.start()
    with own.client() as client:
        events = list(Api(client).events(f"/v1/versions/{version_id}/events"))
        assert events[-1]["event"] == "version.ready"


def answers(client: httpx.Client, paths: list[str]) -> dict[str, bytes]:
    return {path: client.get(path).content for path in paths}


def test_views_come_back_from_the_log_byte_for_byte(tmp_path: Path):
    server = ServerProcess(tmp_path / "data").start()
    with server.client() as client:
        api = Api(client)
        api.deploy("probe")
        api.deploy("probe")
        client.post("/v1/deployments/probe/rollback", json={})
        client.put("/v1/deployments/probe/env", json={"variables": {"A": "1", "B": "2"}})
        client.delete("/v1/deployments/probe/env/A")
        client.post("/v1/api-keys", json={"name": "k", "scopes": ["read"]})
        runs = [api.run("probe", ["say", "x" * 300_000], ["write", "a.md", "a"]), api.run("probe", ["raise", "b"])]
        versions = [version["id"] for version in client.get("/v1/deployments/probe/versions").json()["versions"]]
        paths = ["/v1/runs", "/v1/deployments", "/v1/deployments/probe", "/v1/deployments/probe/versions"]
        paths += ["/v1/deployments/probe/env", "/v1/api-keys", "/v1/runs?status=failed"]
        paths += [f"/v1/versions/{version}{part}" for version in versions for part in ("", "/events")]
        paths += [f"/v1/runs/{run['id']}{part}" for run in runs for part in ("", "/events", "/artifacts")]
        before = answers(client, paths)
    server.stop()
    for file in (tmp_path / "data").glob("views.db*"):
        file.unlink()
    server.start()
    with server.client() as client:
        assert answers(client, paths) == before
    server.stop()
    rebuilt = subprocess.run(
        [str(Path(sys.executable).parent / "crewship"), "views", "rebuild", "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Rebuilt the views" in rebuilt.stdout + rebuilt.stderr
    (tmp_path / "data" / "views.db").write_bytes(b"not a database" * 1000)
    for file in (tmp_path / "data").glob("views.db-*"):
        file.unlink()
    server.start()
    with server.client() as client:
        assert answers(client, paths) == before
    server.stop()


def test_a_second_server_on_the_same_folder_is_refused_with_the_pid_of_the_first(tmp_path: Path):
    server = ServerProcess(tmp_path / "data").start()
    with pytest.raises(RuntimeError, match=f"pid {server.pid}"):
        ServerProcess(tmp_path / "data").start()
    server.stop()


def test_a_graceful_stop_ends_streams_so_that_clients_come_back(own: ServerProcess):
    with own.client() as client:
        api = Api(client)
        api.deploy("probe")
        run_id = api.start("probe", ["slowly", 40, 0.05])
        url = f"/v1/runs/{run_id}/events"
        seen: list[dict[str, Any]] = []
        resume(own, url, seen, lambda: len(seen) > 5)
        with client.stream("GET", url, headers={"Last-Event-ID": seen[-1]["id"]}) as response:
            lines = response.iter_lines()
            next(lines)
            assert own.stop() == 0
            list(lines)  # ends in good order: a broken stream would raise
    own.start()
    resume(own, url, seen, lambda: False)
    with own.client() as client:
        assert seen == list(Api(client).events(url))
        assert [event["event"] for event in seen].count("run.completed") == 1


def test_nothing_secret_lies_in_the_data_folder_in_clear(tmp_path: Path):
    server = ServerProcess(tmp_path / "data").start()
    with server.client() as client:
        api = Api(client)
        api.deploy("probe")
        client.put("/v1/deployments/probe/env", json={"variables": {"TOKEN": "sw0rdfish-secret"}})
        key = client.post("/v1/api-keys", json={"name": "k", "scopes": ["read"]}).json()["key"]
        assert api.run("probe", ["print", "ok"])["status"] == "succeeded"
    server.stop()
    for secret in (b"sw0rdfish-secret", key.rpartition("_")[2].encode()):
        for path in (tmp_path / "data").rglob("*"):
            if path.is_file() and not path.is_symlink() and "environments" not in path.parts:
                assert secret not in path.read_bytes(), path
    log = sqlite3.connect(tmp_path / "data" / "log.db")
    assert log.execute("SELECT count(*) FROM stored_events").fetchone()[0] > 10
    log.close()
    assert json.loads((tmp_path / "data" / "server.json").read_text())["epoch"] == 1
