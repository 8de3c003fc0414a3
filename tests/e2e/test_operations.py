"""What an operator does with a data folder: real servers, real files, the real command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ADMIN_KEY, Api, ServerProcess
from tests.stored import Rows

CREWSHIP = str(Path(sys.executable).parent / "crewship")


def crewship(*words: str, code: int = 0, url: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command; with a URL it talks to the server there."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CREWSHIP_")}
    if url:
        env |= {"CREWSHIP_URL": url, "CREWSHIP_API_KEY": ADMIN_KEY}
    ran = subprocess.run([CREWSHIP, *words], env=env, capture_output=True, text=True)
    assert ran.returncode == code, (words, ran.stdout, ran.stderr)
    assert "Traceback" not in ran.stderr
    return ran


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server that has worked and was stopped."""
    server = ServerProcess(tmp_path_factory.mktemp("operations") / "data").start()
    with server.client() as client:
        api = Api(client)
        api.deploy("probe")
        api.run("probe", ["print", "hello"], ["write", "a.txt", "bytes"])
    assert server.stop() == 0
    return server.data


def copied(folder: Path, target: Path) -> Path:
    """The folder's log alone, to be spoiled."""
    target.mkdir()
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        if (folder / name).exists():
            (target / name).write_bytes((folder / name).read_bytes())
    return target


def test_one_byte_changed_in_the_log_is_named(stopped: Path, tmp_path: Path):
    told = crewship("audit", "verify", "--data", str(stopped)).stdout
    head = told.splitlines()[1].removeprefix("head ")
    spoiled = copied(stopped, tmp_path / "spoiled")
    rows = Rows(spoiled / "log.db")
    victim = next(row for row in rows.all() if row[3] == "log.written")
    rows.change(victim[0], lambda state: state[:-1] + bytes([state[-1] ^ 1]))
    told = crewship("audit", "verify", "--data", str(spoiled), "--head", head, code=1).stdout
    assert f"evt_{victim[0]:03d} (log.written, version {victim[2]} of {victim[1]}) was changed" in told
    found = json.loads(crewship("audit", "verify", "--data", str(spoiled), "--json", code=1).stdout)
    assert [finding["position"] for finding in found["findings"]] == [victim[0]]


def test_the_export_has_every_event_and_no_content(stopped: Path, tmp_path: Path):
    target = tmp_path / "log.jsonl"
    crewship("audit", "export", "--data", str(stopped), "-o", str(target))
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["type"] for line in lines] == [row[3] for row in Rows(stopped / "log.db").all()]
    assert "hello" not in target.read_text()
    assert target.stat().st_mode & 0o077 == 0
    some = crewship("audit", "export", "--data", str(stopped), "--types", "run.created,log.sealed").stdout
    assert {json.loads(line)["type"] for line in some.splitlines()} == {"run.created", "log.sealed"}


def test_a_running_server_is_audited_by_its_api(server: ServerProcess, api: Api):
    head = crewship("audit", "head", "--now", url=server.url).stdout.strip()
    assert "✅" in crewship("audit", "verify", "--head", head, url=server.url).stdout
    lines = crewship("audit", "export", "--types", "deployment.created", url=server.url).stdout.splitlines()
    assert "probe" in [json.loads(line)["data"]["name"] for line in lines]


def test_what_is_no_data_folder_is_said_so(tmp_path: Path):
    said = crewship("audit", "verify", "--data", str(tmp_path), code=2).stderr
    assert "there is no log.db" in said.lower()
    assert list(tmp_path.iterdir()) == []


def test_a_running_server_makes_its_views_anew_and_answers_all_the_while(server: ServerProcess, api: Api):
    done = api.run("probe", ["print", "hello"])["id"]
    paths = (f"/v1/runs/{done}", f"/v1/runs/{done}/events", "/v1/deployments/probe", "/v1/api-keys")
    before = {path: api.client.get(path).content for path in paths}
    command = subprocess.Popen(
        [CREWSHIP, "views", "rebuild", "--json"],
        env={**os.environ, "CREWSHIP_URL": server.url, "CREWSHIP_API_KEY": ADMIN_KEY},
        stdout=subprocess.PIPE,
        text=True,
    )
    while command.poll() is None:
        for path, content in before.items():
            assert api.client.get(path).content == content
        api.client.put("/v1/deployments/probe/env", json={"variables": {"WRITTEN_MEANWHILE": "x"}})
    told = json.loads(command.communicate()[0])
    assert command.returncode == 0
    assert told["rebuild"]["state"] == "done"
    assert {path: api.client.get(path).content for path in paths} == before
    api.client.delete("/v1/deployments/probe/env/WRITTEN_MEANWHILE")
