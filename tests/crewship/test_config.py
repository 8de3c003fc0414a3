"""Settings: given, else from the environment, else the default."""

from pathlib import Path

import pytest

from crewship.config import RateLimit, Settings, duration
from domain.errors import BadRequest


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "HOST", "PORT", "LOG", "EXECUTOR", "ADMIN_KEY", "CORS_ORIGINS", "CONCURRENCY", "BUILDS"):
        monkeypatch.delenv(f"CREWSHIP_{name}", raising=False)


def test_defaults_serve_this_machine_alone():
    settings = Settings.load()
    assert (settings.host, settings.port, settings.postgres) == ("127.0.0.1", 4700, None)
    assert settings.data == Path(".data").absolute()


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CREWSHIP_PORT", "1")
    monkeypatch.setenv("CREWSHIP_CORS_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("CREWSHIP_CONCURRENCY", "3")
    settings = Settings.load(port=0, drain="5m")
    assert (settings.port, settings.concurrency, settings.drain) == (0, 3, 300.0)
    assert settings.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "many"), ("EXECUTOR", "moon"), ("LOG", "mysql://x"), ("CONCURRENCY", "0"), ("TRUSTED_PROXIES", "proxy")],
)
def test_a_wrong_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"CREWSHIP_{name}", value)
    with pytest.raises(BadRequest):
        Settings.load()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("1.5d", 129600), ("250ms", 0.25)]
)
def test_durations(text: str, seconds: float):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 weeks", "-1s", "1h30m"])
def test_what_is_no_duration(text: str):
    with pytest.raises(BadRequest, match="duration"):
        duration(text)


def test_a_rate_limit_is_so_many_in_a_time(monkeypatch: pytest.MonkeyPatch):
    for given, expected in (("50/s", RateLimit(50, 1.0)), ("5000/h", RateLimit(5000, 3600.0)), ("0", None)):
        monkeypatch.setenv("CREWSHIP_RATE_LIMIT", given)
        assert Settings.load().rate_limit == expected
    monkeypatch.setenv("CREWSHIP_RATE_LIMIT", "much")
    with pytest.raises(BadRequest, match="CREWSHIP_RATE_LIMIT"):
        Settings.load()
