"""What the allow list takes, and which addresses of the operator's settings builds may reach."""

import asyncio
import socket
import subprocess

import pytest

from crewship.engine.docker_network import Allowed, BadRule, addresses_of, allowed
from tests.conformance.executor import PROJECT, hear, launch_of, order_of
from tests.docker import opened


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("10.1.2.3", Allowed("10.1.2.3/32", None)),
        (" 10.1.2.0/24 ", Allowed("10.1.2.0/24", None)),
        ("10.1.2.3:5432", Allowed("10.1.2.3/32", 5432)),
    ],
)
def test_an_entry_names_an_address_a_range_or_a_port(text, means):
    assert allowed(text) == means


@pytest.mark.parametrize(
    "text", ["", "example.org", "10.1.2", "10.1.2.3:0", "10.1.2.3:99999", "10.1.2.3 -j ACCEPT", "::1"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadRule):
        allowed(text)


def test_builds_may_reach_the_operators_index_where_it_is_private():
    assert addresses_of(["https://user:pw@10.1.2.3/simple", "http://10.1.2.4:3141/", "https://1.2.3.4/"]) == [
        "10.1.2.3:443",
        "10.1.2.4:3141",
    ]
    assert addresses_of(["no url", "https://unknown.invalid/", "http://10.1.2.3:x/"]) == []


async def test_what_is_allowed_can_be_reached_and_the_rest_stays_closed(tmp_path):
    order = order_of(PROJECT, tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))
        host = asking.getsockname()[0]
    with socket.create_server((host, 0)) as database, socket.create_server((host, 0)) as other:
        allow = [f"{host}:{database.getsockname()[1]}"]
        async with opened(tmp_path / "data", "srv_network", allow=allow) as server:
            await server.build(order)
            code = f"""
                import socket
                result = []
                for port in {[database.getsockname()[1], other.getsockname()[1]]}:
                    try:
                        socket.create_connection(({host!r}, port), 3).close()
                        result.append("open")
                    except OSError:
                        result.append("closed")
            """
            told = await hear(await server.executor.launch(launch_of(order, code)))
            assert told.result == ["open", "closed"]


async def test_a_network_is_taken_away_with_its_rules(tmp_path):
    async with opened(tmp_path, "srv_network_gone") as server:
        network = server.executor.network
        assert network.problem is None
        await network.remove()
        await server.builder.network.remove()
        listing = await asyncio.to_thread(
            subprocess.run, ["iptables", "-S"], capture_output=True, text=True, check=True
        )
        rules = listing.stdout
        assert network.bridge not in rules
        assert network.name.upper() not in rules
