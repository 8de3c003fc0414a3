"""A server whose runs are containers, on a real engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker import docker, engine_and_base, left_with
from tests.server import ADMIN_KEY, Api, ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    url, image = engine_and_base()
    data: Path = tmp_path_factory.mktemp("docker-server") / "data"
    settings = {"DOCKER_HOST": url, "CREWSHIP_BASE_IMAGE_SLIM_PYTHON_3_11": image}
    process = ServerProcess(data, "--executor", "docker", **settings).start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def api(server: ServerProcess) -> Iterator[Api]:
    with server.client() as client:
        api = Api(client)
        assert api.deploy("probe")["status"] == "ready", server.output()
        yield api


def test_the_banner_says_what_runs_are_executed_in(server: ServerProcess):
    assert "sandbox   Docker" in server.output()


def test_a_run_is_a_container_that_leaves_its_artifacts_and_nothing_else(api: Api):
    api.client.put("/v1/deployments/probe/env", json={"variables": {"TOKEN": "sw0rdfish"}})
    run = api.run("probe", ["env", "TOKEN"], ["write", "a/b.md", "# hi"])
    assert (run["status"], run["output"]["said"]) == ("succeeded", "sw0rdfish")
    files = api.client.get(f"/v1/runs/{run['id']}/artifacts").json()["artifacts"]
    assert [file["name"] for file in files] == ["a/b.md"]
    assert left_with(f"crewship.run_id={run['id']}") == []


def test_nothing_secret_stands_in_a_container(api: Api):
    api.client.put("/v1/deployments/probe/env", json={"variables": {"TOKEN": "sw0rdfish"}})
    run_id = api.start("probe", ["print", "up"], ["sleep", 30])
    api.until(run_id, "running")
    (container,) = docker("ps", "--quiet", "--filter", f"label=crewship.run_id={run_id}").split()
    inspected = docker("inspect", container)
    assert "sw0rdfish" not in inspected
    assert "csr_" not in inspected
    assert api.client.post(f"/v1/runs/{run_id}/cancel").json()["status"] == "canceled"


def test_a_run_reaches_the_api_with_its_own_key_alone(api: Api):
    assert api.run("probe", ["ask_api", "/v1/runs/RUN"])["output"]["said"] == 200
    assert api.run("probe", ["ask_api", "/v1/runs"])["output"]["said"] == 403
    assert api.run("probe", ["ask_api", "/v1/runs", ADMIN_KEY])["output"]["said"] == 403


def test_runs_go_on_while_the_server_is_dead(server: ServerProcess, api: Api):
    runs = [api.start("probe", ["slowly", 60, 0.05]) for _ in range(4)]
    for run_id in runs:
        api.until(run_id, "running")
    seen = []
    for event in api.events(f"/v1/runs/{runs[0]}/events"):
        seen.append(event)
        if len(seen) > 8:
            break
    server.kill()
    server.start()
    with server.client() as client:
        again = Api(client)
        seen += again.events(f"/v1/runs/{runs[0]}/events", last=seen[-1]["id"])
        assert seen == list(again.events(f"/v1/runs/{runs[0]}/events"))
        for run_id in runs:
            assert again.wait(run_id)["status"] == "succeeded"
            logs = [event["data"]["message"] for event in again.events(f"/v1/runs/{run_id}/events?types=log")]
            assert [line for line in logs if line.startswith("line")] == [f"line {number}" for number in range(60)]
    assert [left for run_id in runs for left in left_with(f"crewship.run_id={run_id}")] == []
