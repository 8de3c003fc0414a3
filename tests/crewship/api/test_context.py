"""From where a request comes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from crewship.api.context import SERVICE, address
from crewship.config import Settings


def asked(remote: str, forwarded: str, *trusted: str) -> web.Request:
    app = web.Application()
    service: Any = SimpleNamespace(settings=Settings(data=Path(), trusted_proxies=trusted))
    app[SERVICE] = service
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded}, app=app)
    return request.clone(remote=remote)


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "expected"),
    [
        ("203.0.113.5", "", (), "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", (), "203.0.113.5"),
        ("127.0.0.1", "198.51.100.1", ("127.0.0.1",), "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", ("127.0.0.0/8", "10.0.0.0/8"), "198.51.100.1"),
        ("203.0.113.5", "198.51.100.1", ("127.0.0.1",), "203.0.113.5"),
        ("127.0.0.1", "unknown", ("127.0.0.1",), "127.0.0.1"),
        ("::1", "2001:db8::7", ("::1",), "2001:db8::7"),
    ],
)
def test_a_forwarded_address_counts_behind_a_trusted_proxy_alone(remote, forwarded, trusted, expected):
    assert address(asked(remote, forwarded, *trusted)) == expected
