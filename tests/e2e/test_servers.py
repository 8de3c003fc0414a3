"""Two servers on one database, of one installation: one key, one folder of blobs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Api, ServerProcess


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    first = ServerProcess(tmp_path / "first", CREWSHIP_LOG=postgres_url).start()
    second = ServerProcess(tmp_path / "second", CREWSHIP_LOG=postgres_url)
    (tmp_path / "second").mkdir(mode=0o700, exist_ok=True)
    shutil.copy2(tmp_path / "first" / "installation.key", tmp_path / "second")
    (tmp_path / "second" / "blobs").symlink_to(tmp_path / "first" / "blobs")
    second.start()
    yield first, second
    assert (second.stop(), first.stop()) == (0, 0)


def test_a_version_is_built_by_one_of_two_servers_and_known_to_both(pair: tuple[ServerProcess, ServerProcess]):
    first, second = pair
    with first.client() as here, second.client() as there:
        for client in (here, there, here):
            version = Api(client).deploy("probe")
            assert version["status"] == "ready", version["error_message"]
        head = here.get("/v1/deployments/probe").headers["Crewship-Position"]
        seen = there.get("/v1/deployments/probe", headers={"Crewship-Position": head}).json()
    assert seen["environments"]["production"]["version_id"] == version["id"]
