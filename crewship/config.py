"""Settings of a server: from the command line, else the environment, else the default. The one reader of os.environ."""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import msgspec

from domain.errors import BadRequest

_BASE_IMAGE = re.compile(r"CREWSHIP_BASE_IMAGE_(SLIM|BROWSER)_PYTHON_(\d+_\d+)")
_NODE_IMAGE = re.compile(r"CREWSHIP_BASE_IMAGE_(SLIM|BROWSER)_NODE_(\d+)")

_RATE = re.compile(r"(\d{1,9})(?:/(s|m|h))?")


class RateLimit(msgspec.Struct, frozen=True):
    """So many requests in so many seconds, on average; as many at once."""

    requests: int
    seconds: float


ExecutorChoice = Literal["auto", "local", "docker"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server runs. Sizes in bytes, times in seconds. Without `postgres` the log lies in the data folder."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 4700
    postgres: str | None = None
    executor: ExecutorChoice = "auto"
    admin_key: str | None = None
    cors_origins: tuple[str, ...] = ()
    concurrency: int = 8
    queue: int = 10_000
    builds: int = 2
    warm: int = 8
    """How many sandboxes are kept warm at most, of all deployments together."""
    drain: float = 0.0
    docker_host: str | None = None
    base_images: dict[tuple[str, str], str] = {}
    node_images: dict[tuple[str, str], str] = {}
    egress_allow: tuple[str, ...] = ()
    webhook_allow: tuple[str, ...] = ()
    upload_limit: int = 256 * 1024 * 1024
    public_url: str | None = None
    rate_limit: RateLimit | None = RateLimit(12_000, 60.0)
    """Of each key; None: none."""
    access_log: str | None = None
    """A file, or - for stdout."""
    trusted_proxies: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        *,
        host: str | None = None,
        port: int | None = None,
        data: str | None = None,
        executor: str | None = None,
        log: str | None = None,
        drain: str | None = None,
    ) -> Self:
        """Settings from what was given, else from CREWSHIP_…; raises BadRequest that names the setting at fault."""
        env = os.environ
        given = {
            "data": Path(data or env.get("CREWSHIP_DATA") or ".data").expanduser().absolute(),
            "host": host or env.get("CREWSHIP_HOST"),
            "port": port if port is not None else env.get("CREWSHIP_PORT"),
            "executor": executor or env.get("CREWSHIP_EXECUTOR"),
            "postgres": log or env.get("CREWSHIP_LOG"),
            "admin_key": env.get("CREWSHIP_ADMIN_KEY"),
            "cors_origins": _listed(env.get("CREWSHIP_CORS_ORIGINS", "")),
            "egress_allow": _listed(env.get("CREWSHIP_EGRESS_ALLOW", "")),
            "webhook_allow": _listed(env.get("CREWSHIP_WEBHOOK_ALLOW", "")),
            "trusted_proxies": _listed(env.get("CREWSHIP_TRUSTED_PROXIES", "")),
            "docker_host": env.get("DOCKER_HOST"),
            "concurrency": env.get("CREWSHIP_CONCURRENCY"),
            "queue": env.get("CREWSHIP_QUEUE"),
            "builds": env.get("CREWSHIP_BUILDS"),
            "warm": env.get("CREWSHIP_WARM"),
            "drain": duration(drain) if drain else None,
            "public_url": env.get("CREWSHIP_PUBLIC_URL"),
            "access_log": env.get("CREWSHIP_ACCESS_LOG"),
        }
        present = {name: value for name, value in given.items() if value not in (None, "")}
        try:
            settings = msgspec.convert(present, cls, strict=False)
        except msgspec.ValidationError as error:
            raise BadRequest(f"A setting is wrong: {error}") from None
        images, nodes = _base_images(env, _BASE_IMAGE), _base_images(env, _NODE_IMAGE)
        settings = msgspec.structs.replace(settings, base_images=images, node_images=nodes)
        if rate := env.get("CREWSHIP_RATE_LIMIT"):
            settings = msgspec.structs.replace(settings, rate_limit=_rate_limit(rate))
        if settings.postgres and not settings.postgres.startswith(("postgresql://", "postgres://")):
            raise BadRequest(
                "--log takes a URL that begins with postgresql://, or nothing for SQLite in the data folder"
            )
        for network in settings.trusted_proxies:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise BadRequest(f"CREWSHIP_TRUSTED_PROXIES: {network!r} is not an address or a network") from None
        if min(settings.concurrency, settings.queue, settings.builds) < 1:
            raise BadRequest("CREWSHIP_CONCURRENCY, CREWSHIP_QUEUE and CREWSHIP_BUILDS are at least 1")
        if settings.warm < 0:
            raise BadRequest("CREWSHIP_WARM is a number of sandboxes, at least 0")
        return settings


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, re.split(r"[,\s]+", text)))


def _rate_limit(text: str) -> RateLimit | None:
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise BadRequest(f"CREWSHIP_RATE_LIMIT: {text!r} is not a rate: write it like 12000/m or 50/s; 0 is no limit")
    seconds = {"s": 1.0, "m": 60.0, "h": 3600.0}[match[2] or "m"]
    return RateLimit(int(match[1]), seconds) if int(match[1]) else None


def _base_images(env: Mapping[str, str], named: re.Pattern[str]) -> dict[tuple[str, str], str]:
    """CREWSHIP_BASE_IMAGE_SLIM_PYTHON_3_11=… or CREWSHIP_BASE_IMAGE_SLIM_NODE_22=…, by profile and version."""
    images = {}
    for name, image in env.items():
        if match := named.fullmatch(name):
            images[match[1].lower(), match[2].replace("_", ".")] = image
    return images


def duration(text: str) -> float:
    """Seconds of a text like `90s`, `5m`, `1h`; a bare number is seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", text.strip())
    if match is None:
        raise BadRequest(f"{text!r} is not a duration: write it like 90s, 5m or 1h")
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}[match[2]]
