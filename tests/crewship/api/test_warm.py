"""Sandboxes that wait for runs, on a real server: used once, replaced, retired, and gone with the server."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import projects
from tests.server import Api, ServerProcess

GRAPH = projects.GRAPH.replace(
    '"""Does what its input says: a list of steps."""\nimport os\n',
    "import os\nimport time\nAT_IMPORT = time.time()\nSAW = dict(os.environ)\n",
).replace(
    '        elif name == "env":\n',
    '        elif name == "import":\n            said = [AT_IMPORT, os.getpid(), SAW.get(value)]\n'
    '        elif name == "env":\n',
)
MANIFEST = projects.MANIFEST + "min_warm = 1\n"
FILES = {**projects.PROBE, "graph.py": GRAPH, "crewship.toml": MANIFEST}


def waiting(server: ServerProcess) -> list[str]:
    """The names of those that have imported everything."""
    found = []
    for journal in sorted((server.data / "runs").glob("warm_*/journal")):
        with suppress(FileNotFoundError):  # it is being cleared away, or made a run's
            found += [journal.parent.name] if b'"type":"warm"' in journal.read_bytes() else []
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Api]]:
    """A server of its own, with one sandbox waiting for runs of `warm`."""
    server = ServerProcess(tmp_path_factory.mktemp("warm") / "data").start()
    with server.client() as client:
        api = Api(client)
        assert api.deploy("warm", FILES)["status"] == "ready"
        until(lambda: len(waiting(server)) == 1)
        yield server, api
    assert server.stop() == 0, server.output()
    assert list((server.data / "runs").iterdir()) == []


def test_a_run_takes_what_was_imported_before_it_was_asked_for(warm: tuple[ServerProcess, Api]):
    server, api = warm
    until(lambda: waiting(server))
    (before,) = waiting(server)
    asked_at = time.time()
    run = api.run("warm", ["import", "CREWSHIP_RUN_ID"])
    imported_at, _, run_id_then = run["output"]["said"]
    assert (imported_at < asked_at, run_id_then) == (True, None)
    assert api.run("warm", ["env", "CREWSHIP_RUN_ID"])["output"]["said"] != run["id"]
    until(lambda: waiting(server) and before not in waiting(server))
    events = [one["event"] for one in api.events(f"/v1/runs/{run['id']}/events")]
    assert events[:3] == ["run.created", "run.started", "log"]


def test_no_sandbox_is_used_twice(warm: tuple[ServerProcess, Api]):
    server, api = warm
    imports = set()
    for _ in range(3):
        until(lambda: waiting(server))
        imports.add(api.run("warm", ["import", "HOME"])["output"]["said"][0])
    assert len(imports) == 3


def test_a_variable_is_there_at_the_import_and_a_change_retires_what_waits(warm: tuple[ServerProcess, Api]):
    server, api = warm
    until(lambda: waiting(server))
    (before,) = waiting(server)
    api.client.put("/v1/deployments/warm/env", json={"variables": {"FRESH": "yes"}})
    assert api.run("warm", ["import", "FRESH"])["output"]["said"][2] == "yes"
    until(lambda: waiting(server) and before not in waiting(server))
    assert api.run("warm", ["import", "FRESH"])["output"]["said"][2] == "yes"


def test_a_new_version_retires_what_waits(warm: tuple[ServerProcess, Api]):
    server, api = warm
    until(lambda: waiting(server))
    (before,) = waiting(server)
    api.deploy("warm", {**FILES, "crewship.toml": projects.MANIFEST})
    until(lambda: not list((server.data / "runs").glob("warm_*")))
    api.client.post("/v1/deployments/warm/rollback", json={})
    until(lambda: waiting(server))
    assert waiting(server) != [before]


def test_a_broken_import_is_told_to_the_operator_and_to_the_run(warm: tuple[ServerProcess, Api]):
    server, api = warm
    api.deploy("broken", {**FILES, "graph.py": "raise RuntimeError('not today')\ngraph = 1\n"})
    until(lambda: "RuntimeError: not today" in server.output())
    assert api.run("broken")["error_message"] == "RuntimeError: not today"
    assert api.client.delete("/v1/deployments/broken").status_code == 204


def test_what_waited_is_gone_with_a_killed_server_and_runs_are_not(warm: tuple[ServerProcess, Api]):
    server, api = warm
    until(lambda: waiting(server))
    run_id = api.start("warm", ["slowly", 30, 0.1])
    api.until(run_id, "running")
    until(lambda: waiting(server))
    (before,) = waiting(server)
    server.kill()
    server.start()
    assert not (Path(server.data) / "runs" / before).exists()
    run = api.wait(run_id)
    assert run["status"] == "succeeded"
    lines = [one["data"]["message"] for one in api.events(f"/v1/runs/{run_id}/events?types=log")]
    assert [line for line in lines if line.startswith("line ")] == [f"line {number}" for number in range(30)]
    until(lambda: waiting(server))
