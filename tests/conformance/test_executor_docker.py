"""The Docker executor keeps what every executor promises, with a real engine."""

from contextlib import AsyncExitStack

import pytest

from tests.conformance.executor import PROJECT, ExecutorSuite, order_of
from tests.conformance.warm import WarmSuite
from tests.docker import opened


@pytest.fixture
async def server(tmp_path):
    async with opened(tmp_path / "data", "srv_conformance") as server:
        yield server


@pytest.fixture
def executor(server):
    return server.executor


@pytest.fixture
async def restarted(server, tmp_path):
    async with AsyncExitStack() as stack:

        async def start():
            return (await stack.enter_async_context(opened(tmp_path / "data", server.id))).executor

        yield start


@pytest.fixture
async def order(server, tmp_path):
    order = order_of(PROJECT, tmp_path)
    await server.build(order)
    return order


class TestDockerExecutor(ExecutorSuite):
    """With the engine of scripts/docker-for-tests."""


class TestDockerWarm(WarmSuite):
    """The same engine, with containers that wait."""
