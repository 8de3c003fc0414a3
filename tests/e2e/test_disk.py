"""Disks that are full, slow, closed or damaged: the service says what is wrong, keeps what it has, and comes back."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.crash import points
from tests.server import DEADLINE, Api, ServerProcess

MEBIBYTE = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def soon(what: Callable[[], object]) -> None:
    """It becomes true."""
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def fill(disk: Path) -> Path:
    """Leave not a byte."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(bytes(MEBIBYTE))
                file.flush()
        except OSError:
            pass
    return filler


def test_a_full_disk_stops_writes_and_nothing_else_until_there_is_room(small_disk: Path):
    server = ServerProcess(small_disk / "data").start()
    with server.client() as client:
        api = Api(client)
        assert api.deploy("probe")["status"] == "ready"
        under_way = api.start("probe", ["slowly", 60, 0.05])
        api.until(under_way, "running")
        filler = fill(small_disk)
        soon(lambda: client.get("/readyz").status_code == 503)
        assert "disk" in client.get("/readyz").json()["error"]["message"]
        soon(lambda: client.post("/v1/deployments", json={"name": "other"}).status_code == 503)
        refused = client.post("/v1/deployments", json={"name": "another"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/runs").status_code == 200
        filler.unlink()
        soon(lambda: client.get("/readyz").status_code == 200)
        assert api.wait(under_way)["status"] == "succeeded"
        lines = [event["data"]["message"] for event in api.events(f"/v1/runs/{under_way}/events?types=log")]
        assert [line for line in lines if line.startswith("line")] == [f"line {number}" for number in range(60)]
        assert client.post("/v1/deployments", json={"name": "another"}).status_code == 201
    assert server.stop() == 0


def test_a_slow_disk_makes_writes_slow_and_nothing_else(tmp_path: Path):
    server = ServerProcess(tmp_path / "data", PYTHONPATH=str(Path(__file__).parents[2]))
    server.program = [sys.executable, "-m", points.__name__]
    server.start(**{points.SLOW: "0.5"})
    with server.client() as client:
        posted: list[int] = []

        def post() -> None:
            for number in range(3):
                posted.append(client.post("/v1/deployments", json={"name": f"d{number}"}).status_code)

        poster = threading.Thread(target=post)
        poster.start()
        answered = 0
        while poster.is_alive():
            assert httpx.get(f"{server.url}/healthz", timeout=2).status_code == 200
            answered += 1
        assert posted == [201] * 3
        assert answered > 3
    server.stop()


@pytest.mark.parametrize("damage", ["overwritten", "cut"])
def test_a_damaged_log_is_refused_with_what_to_do_and_left_as_it_is(tmp_path: Path, damage: str):
    server = ServerProcess(tmp_path / "data").start()
    with server.client() as client:
        client.post("/v1/deployments", json={"name": "some"})
    server.stop()
    log = server.data / "log.db"
    with log.open("r+b") as file:
        file.truncate(5000) if damage == "cut" else file.write(b"\xff" * 8192)
    before = log.read_bytes()
    with pytest.raises(RuntimeError, match=r"log\.db cannot be read: .*[Rr]estore .* from a backup"):
        server.start()
    assert "Traceback" not in server.output()
    assert log.read_bytes() == before


def test_views_that_are_ahead_of_a_log_from_a_backup_are_made_anew(tmp_path: Path):
    server = ServerProcess(tmp_path / "data").start()
    with server.client() as client:
        client.post("/v1/deployments", json={"name": "old"})
    server.stop()
    for name in ("log.db", "keys.db"):
        shutil.copy(server.data / name, tmp_path / name)
    server.start()
    with server.client() as client:
        client.post("/v1/deployments", json={"name": "new"})
    server.stop()
    for name in ("log.db", "keys.db"):
        shutil.copy(tmp_path / name, server.data / name)
    server.start()
    with server.client() as client:
        names = [one["name"] for one in client.get("/v1/deployments").json()["deployments"]]
    server.stop()
    assert names == ["old"]


def test_a_second_server_on_the_same_folder_is_refused_by_the_pid_of_the_first(server: ServerProcess):
    with pytest.raises(RuntimeError, match=rf"Another server \(pid {server.pid}\) uses the data folder"):
        ServerProcess(server.data).start()
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_a_data_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path):
    folder = tmp_path / "closed"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=True)
    try:
        command = [str(Path(sys.executable).parent / "crewship"), "serve", "--data", str(folder / "data")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        subprocess.run(["umount", folder], check=True)
    assert ended.returncode == 2
    assert ended.stderr.strip() == f"error: The data folder {folder}/data cannot be used: Read-only file system"
