"""A whole installation in a file: from SQLite to PostgreSQL and back, and a server that goes on with it."""

import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.e2e.test_operations import crewship, stopped
from tests.server import Api, ServerProcess
from tests.stored import Rows

__all__ = ["stopped"]


@pytest.fixture(scope="module")
def archive(stopped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("archive") / "crewship.tar"
    told = json.loads(crewship("export", str(target), "--data", str(stopped), "--json").stdout)
    assert told["events"] == len(Rows(stopped / "log.db").all())
    assert told["keys"] > 0
    assert told["blobs"] > 0
    return target


def test_it_is_for_its_owner_alone_and_says_that_it_holds_the_key(archive: Path, stopped: Path):
    assert archive.stat().st_mode & 0o777 == 0o600
    again = crewship("export", str(archive.with_name("again.tar")), "--data", str(stopped))
    assert "every secret" in again.stderr
    assert "there already" in crewship("export", str(archive), "--data", str(stopped), code=2).stderr


def test_by_postgresql_and_back_everything_is_as_it_was(
    archive: Path, stopped: Path, tmp_path: Path, postgres_url: str
):
    head = crewship("audit", "verify", "--data", str(stopped)).stdout.splitlines()[1].removeprefix("head ")
    there = tmp_path / "there"
    crewship("import", str(archive), "--data", str(there), "--log", postgres_url)
    rows = Rows(stopped / "log.db").all()
    assert Rows(there / "log.db", postgres_url).all() == rows
    assert not (there / "log.db").exists()
    crewship("audit", "verify", "--log", postgres_url, "--head", head)
    back = tmp_path / "back.tar"
    crewship("export", str(back), "--data", str(there), "--log", postgres_url)
    here = tmp_path / "here"
    crewship("import", str(back), "--data", str(here))
    assert Rows(here / "log.db").all() == rows
    crewship("audit", "verify", "--data", str(here), "--head", head)
    for name in ("installation.key", "server.json"):
        assert (here / name).read_bytes() == (stopped / name).read_bytes()
    assert "already" in crewship("import", str(archive), "--data", str(here), code=2).stderr
    assert (
        "already"
        in crewship("import", str(archive), "--data", str(tmp_path / "x"), "--log", postgres_url, code=2).stderr
    )


def test_a_server_goes_on_with_it(archive: Path, stopped: Path, tmp_path: Path):
    target = tmp_path / "data"
    crewship("import", str(archive), "--data", str(target))
    server = ServerProcess(target).start()
    with server.client() as client:
        (run,) = client.get("/v1/runs").json()["runs"]
        assert run["status"] == "succeeded"
        assert client.get(f"/v1/runs/{run['id']}").json()["input"] == {
            "steps": [["print", "hello"], ["write", "a.txt", "bytes"]]
        }
        assert client.get(f"/v1/runs/{run['id']}/artifacts/a.txt").text == "bytes"
        again = Api(client).run("probe", ["say", "built again"])
        assert again["status"] == "succeeded", again
        assert again["output"]["said"] == "built again"
    assert server.stop() == 0
    assert "✅" in crewship("audit", "verify", "--data", str(target)).stdout


def test_an_archive_that_was_changed_or_cut_is_refused_and_leaves_nothing(archive: Path, tmp_path: Path):
    whole = archive.read_bytes()
    with tarfile.open(archive) as tar:
        member = next(info for info in tar if info.name.startswith("log/"))
    spoiled = bytearray(whole)
    spoiled[member.offset_data + 100] ^= 1
    for name, content in (("spoiled", bytes(spoiled)), ("cut", whole[: len(whole) // 2]), ("other", b"no tar" * 1000)):
        (tmp_path / name).write_bytes(content)
        target = tmp_path / f"from-{name}"
        said = crewship("import", str(tmp_path / name), "--data", str(target), code=2).stderr
        assert "changed" in said or "not a whole archive" in said
        assert not target.exists()


def test_without_the_key_it_needs_the_key(stopped: Path, tmp_path: Path):
    archive, target = tmp_path / "keyless.tar", tmp_path / "data"
    crewship("export", str(archive), "--data", str(stopped), "--without-key")
    assert (stopped / "installation.key").read_bytes() not in archive.read_bytes()
    assert "--key" in crewship("import", str(archive), "--data", str(target), code=2).stderr
    assert not (target / "installation.key").exists()
    crewship("import", str(archive), "--data", str(target), "--key", str(stopped / "installation.key"))
    assert (target / "installation.key").stat().st_mode & 0o777 == 0o600


def test_a_running_server_is_exported_as_of_one_moment(server: ServerProcess, api: Api, tmp_path: Path):
    archive, target = tmp_path / "running.tar", tmp_path / "data"
    api.run("probe", ["count", 200])
    told = json.loads(crewship("export", str(archive), "--data", str(server.data), "--json").stdout)
    crewship("import", str(archive), "--data", str(target))
    rows = Rows(target / "log.db").all()
    assert rows[-1][0] == told["head"]
    assert rows == Rows(server.data / "log.db").all()[: len(rows)]
    assert os.listdir(target / "blobs")
