"""The short form of scripts/crash: a server killed at points of its work remembers what it acknowledged."""

from pathlib import Path

import pytest

from tests.crash.harness import crash


def test_a_server_survives_some_kills(tmp_path: Path):
    tally = crash(tmp_path, seed=5, kills=6)
    assert sum(tally.kills.values()) == 6
    assert tally.ledger.writes > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("executor", ["local", "docker"])
def test_a_server_survives_hundreds_of_kills(tmp_path: Path, executor: str):
    crash(tmp_path, seed=6, kills=200, executor=executor)
