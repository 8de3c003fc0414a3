"""Many short runs in Docker, with cancellations and dying containers and servers among them: nothing stays behind."""

import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import projects
from tests.docker import docker, engine_and_base
from tests.server import Api, ServerProcess

WARM = {**projects.PROBE, "crewship.toml": projects.MANIFEST + "min_warm = 2\n"}


def ours(server_id: str) -> list[str]:
    """Containers and volumes of that server."""
    label = f"label=crewship.server_id={server_id}"
    containers = docker("ps", "--all", "--quiet", "--filter", label).split()
    return containers + docker("volume", "ls", "--quiet", "--filter", label).split()


@pytest.mark.parametrize(
    ("number", "kills"), [pytest.param(200, 6, marks=[pytest.mark.long, pytest.mark.timeout(1800)]), (12, 1)]
)
def test_nothing_is_left_of_many_runs(tmp_path: Path, number: int, kills: int):
    chance = random.Random(number)
    url, image = engine_and_base()
    settings = {"DOCKER_HOST": url, "CREWSHIP_BASE_IMAGE_SLIM_PYTHON_3_11": image}
    server = ServerProcess(tmp_path / "data", "--executor", "docker", **settings).start()
    server_id = json.loads((server.data / "server.json").read_text())["server_id"]
    started: list[str] = []
    deadly = {chance.randrange(number) for _ in range(kills)}
    with server.client() as client:
        Api(client).deploy("storm", WARM)
    for at in range(number):
        with server.client() as client:
            api = Api(client)
            run_id = api.start("storm", ["print", at], ["sleep", chance.choice([0, 0.2, 1])])
            started.append(run_id)
            lot = chance.random()
            if lot < 0.25:
                time.sleep(chance.random())
                client.post(f"/v1/runs/{run_id}/cancel")
            elif lot < 0.35:
                time.sleep(chance.random())
                name = docker("ps", "--quiet", "--filter", f"name={run_id}").split()
                if name:
                    docker("kill", *name)
        if at in deadly:
            server.kill()
            server.start()
    with server.client() as client:
        ends = Counter(Api(client).wait(run_id)["status"] for run_id in started)
    assert ends.total() == number
    assert ends["succeeded"] > number / 3, ends
    server.stop()
    deadline = time.monotonic() + 60
    while left := ours(server_id):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    print(number, "runs:", dict(ends))
