"""Where the key is kept."""

import stat
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from crewship.cli import credentials


def test_what_is_saved_is_loaded_and_only_its_owner_can_read_it() -> None:
    path = credentials.save("http://host:1/", 'key"\\ü')
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credentials.load() == ("http://host:1", 'key"\\ü')
    assert tomllib.loads(path.read_text())["url"] == "http://host:1/"
    assert [entry.name for entry in path.parent.iterdir()] == ["config.toml"]


def test_saving_again_closes_a_file_that_was_open_to_others() -> None:
    path = credentials.save("http://a", "1")
    path.chmod(0o644)
    credentials.save("http://b", "2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.save("http://file", "from-file")
    monkeypatch.setenv("CREWSHIP_API_KEY", "from-env")
    assert credentials.load() == ("http://file", "from-env")
    monkeypatch.setenv("CREWSHIP_URL", "http://env")
    assert credentials.load() == ("http://env", "from-env")


def test_without_anything_it_is_the_server_on_this_machine() -> None:
    assert credentials.load() == (credentials.DEFAULT_URL, None)


def test_a_broken_file_is_told_and_mended_by_a_login(
    server: Any, crewship: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = credentials.save("http://a", "1")
    path.write_text("url =")
    monkeypatch.delenv("CREWSHIP_API_KEY")
    result = crewship("runs", "list")
    assert result.exit_code == 2
    assert "config.toml cannot be read" in result.stderr
    assert "run `crewship login`" in result.stderr
    server.answers("GET", "/v1/deployments", {"deployments": []})
    assert crewship("login", "--url", server.url, input="csk_new\n").exit_code == 0
    assert credentials.load().key == "csk_new"


def test_a_key_that_the_server_does_not_know_is_not_kept(server: Any, crewship: Callable[..., Result]) -> None:
    server.answers("GET", "/v1/deployments", {"error": {"message": "Invalid API key", "code": "unauthorized"}}, 401)
    result = crewship("login", "--key", "wrong")
    assert (result.exit_code, result.stderr) == (1, f"error: {server.url} does not know this key\n")
    assert not credentials.config_file().exists()
