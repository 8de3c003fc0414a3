"""The local executor keeps what every executor promises, and isolates its runs."""

import errno
import os
from pathlib import Path

import pytest

from crewship.engine.environments import LocalBuilder
from crewship.engine.local import LocalExecutor
from tests.conformance.executor import PROJECT, WAIT, ExecutorSuite, hear, launch_of, order_of, says
from tests.conformance.warm import WarmSuite
from tests.crewship.engine.cache import shared_builder


@pytest.fixture
async def builder() -> LocalBuilder:
    return shared_builder()


@pytest.fixture
async def order(builder, tmp_path):
    order = order_of(PROJECT, tmp_path)
    async for _ in builder.build(order):
        pass
    return order


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
async def restarted(builder, data):
    opened = []

    async def start() -> LocalExecutor:
        executor = LocalExecutor(data, builder, "conformance")
        await executor.open()
        opened.append(executor)
        return executor

    yield start
    for executor in opened:
        for run_id in await executor.held():
            if (left := await executor.find(run_id)) is not None:
                await left.remove()
        assert list((data / "runs").iterdir()) == []
        await executor.close()


@pytest.fixture
async def executor(restarted):
    return await restarted()


class TestLocalExecutor(ExecutorSuite):
    """With bubblewrap, which works wherever these tests run."""

    async def test_runs_are_isolated_here(self, executor):
        assert executor.warning is None

    async def test_without_a_network_there_is_only_the_runs_own_loopback(self, run):
        code = """
            import socket
            listening = socket.create_server(('127.0.0.1', 0))
            socket.create_connection(listening.getsockname(), 1)
            result = [name for _, name in socket.if_nameindex()]
            try:
                socket.create_connection(('192.0.2.1', 80), 1)
            except OSError as error:
                result.append(error.errno)
        """
        _, told = await run(code, network="none")
        assert told.result == ["lo", errno.ENETUNREACH]

    async def test_two_runs_cannot_see_each_other(self, executor, order):
        waits = "open('/tmp/secret', 'w').write('s'); open('artifacts/secret', 'w').write('s')\n"
        first = await executor.launch(launch_of(order, waits + WAIT))
        await hear(first, until=says("waiting"))
        looks = """
            import os
            processes = sum(name.isdigit() for name in os.listdir('/proc'))
            result = [os.listdir('/tmp'), os.listdir('artifacts'), processes]
        """
        second = await executor.launch(launch_of(order, looks, run_id="run_2"))
        assert (await hear(second)).result == [[], [], 2]
        await second.remove()
        await first.remove()

    async def test_no_dead_process_and_no_descriptor_of_a_run_is_kept(self, executor, order):
        before, descriptors = _dead_children(), len(os.listdir("/proc/self/fd"))
        for number in range(2):
            sandbox = await executor.launch(launch_of(order, "result = 1", run_id=f"run_{number}"))
            await hear(sandbox)
            await sandbox.remove()
        assert _dead_children() <= before
        assert len(os.listdir("/proc/self/fd")) == descriptors


def _dead_children() -> set[str]:
    """Processes that this one started and has not reaped; those of executors that were closed stay until it ends."""
    children = {process for task in Path("/proc/self/task").iterdir() for process in _words(task / "children")}
    return {process for process in children if ") Z " in Path(f"/proc/{process}/stat").read_text()}


def _words(file: Path) -> list[str]:
    return file.read_text().split()


class TestLocalWarm(WarmSuite):
    """Folders of this machine that wait."""


async def test_a_run_is_kept_to_one_processor_only_where_no_quota_holds_it(executor, order):
    told = await hear(await executor.launch(launch_of(order, "import os\nresult = len(os.sched_getaffinity(0))")))
    assert told.result == (1 if executor.limits_by == "guard" else len(os.sched_getaffinity(0)))
