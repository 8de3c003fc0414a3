"""The doctor finds what is wrong with an installation, and says what to do."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crewship import clock
from crewship.config import Settings
from crewship.operations.doctor import Finding, examine
from tests.server import ADMIN_KEY, Api, ServerProcess


def found(data: Path, check: str, **more: Any) -> Finding:
    """What the look of that name finds."""
    return {one.check: one for one in examine(Settings(data=data, executor="local", **more))}[check]


@pytest.fixture
def copy(api: Api, server: ServerProcess, tmp_path: Path) -> Path:
    """A copy of a data folder that a server uses, as a backup would be."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    for name in ("log.db", "log.db-wal", "keys.db", "keys.db-wal", "installation.key"):
        if (server.data / name).exists():
            shutil.copy(server.data / name, folder / name)
    return folder


def test_an_installation_that_is_whole_is_well(copy: Path):
    states = {one.check: one.state for one in examine(Settings(data=copy, executor="local"))}
    assert set(states) == {"versions", "data folder", "disk", "key file", "log", "sandbox"}
    assert set(states.values()) == {"ok"}


def test_a_damaged_log_is_a_problem(copy: Path):
    (copy / "log.db-wal").unlink(missing_ok=True)
    (copy / "log.db").write_bytes(b"this is no database" * 1000)
    finding = found(copy, "log")
    assert finding.state == "problem"
    assert "backup" in str(finding.advice)


def test_a_lost_key_file_and_a_folder_open_to_all_are_named(copy: Path):
    (copy / "installation.key").unlink()
    copy.chmod(0o755)
    assert found(copy, "key file").state == "problem"
    assert found(copy, "data folder").advice == f"chmod 700 {copy}"


def test_a_clock_that_is_behind_the_log_is_a_problem(copy: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clock, "now", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    finding = found(copy, "log")
    assert "in the future" in finding.found
    assert "clock" in str(finding.advice)


def test_a_database_that_does_not_answer_is_a_problem(copy: Path):
    finding = found(copy, "log", postgres="postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=2")
    assert finding.state == "problem"


def ask(*options: str, **environment: str) -> tuple[int, Any]:
    command = [str(Path(sys.executable).parent / "crewship"), "doctor", "--json", *options]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_it_looks_at_the_server_and_the_key_too(api: Api, server: ServerProcess):
    code, told = ask("--client", CREWSHIP_URL=server.url, CREWSHIP_API_KEY=ADMIN_KEY)
    assert (code, told["ok"]) == (0, True)
    assert {one["check"]: one["state"] for one in told["findings"]} == {"server": "ok", "isolation": "ok", "key": "ok"}
    code, told = ask("--client", CREWSHIP_URL=server.url, CREWSHIP_API_KEY="wrong")
    assert (code, told["ok"]) == (1, False)
    assert "crewship login" in told["findings"][-1]["advice"]
    code, told = ask("--client", CREWSHIP_URL="http://127.0.0.1:9", CREWSHIP_API_KEY=ADMIN_KEY)
    assert code == 1
    assert "crewship serve" in told["findings"][0]["found"]
