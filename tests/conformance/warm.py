"""What holds for the warm sandboxes of every executor; fixtures as for `ExecutorSuite`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from crewship.engine.executor import BuildOrder, Executor, Launch, LaunchFailed, Sandbox, WarmSandbox
from tests.conformance.executor import WAIT, hear, launch_of, says

SAW = "import os\nresult = [os.environ.get('GIVEN'), os.environ.get('OWN'), os.getpid()]"


def preparation(order: BuildOrder, name: str = "warm_1", **more: Any) -> Launch:
    """A launch without a run."""
    launch = launch_of(order, "", run_id=name, env={"GIVEN": "yes"}, **more)
    return msgspec.structs.replace(launch, spec={**launch.spec, "run_id": "", "input": None})


def call(order: BuildOrder, code: str, run_id: str = "run_1") -> Launch:
    """A run for a warm sandbox."""
    launch = launch_of(order, code, run_id=run_id, env={"GIVEN": "yes", "OWN": run_id})
    own = {"run_id": run_id, "thread_id": None, "input": launch.spec["input"], "env": {"OWN": run_id}}
    return msgspec.structs.replace(launch, call=own)


async def missing(executor: Executor, run_id: str) -> None:
    assert await executor.held() == []
    assert await executor.find(run_id) is None


class WarmSuite:
    """One fixture more: `warm`, a sandbox that waits."""

    @pytest.fixture
    async def warm(self, executor: Executor, order: BuildOrder) -> AsyncIterator[WarmSandbox]:
        prepared = await executor.prepare(preparation(order))
        yield prepared
        await prepared.discard()

    async def test_a_warm_sandbox_is_nobodys_until_it_is_called(self, executor: Executor, warm):
        assert await executor.held() == []

    async def test_a_warm_sandbox_becomes_the_runs(self, executor: Executor, order, warm):
        sandbox = await executor.launch(call(order, SAW), warm)
        told = await hear(sandbox)
        assert [line["type"] for line in told.lines[:2]] == ["warm", "ready"]
        assert told.result[:2] == ["yes", "run_1"]
        assert (sandbox.run_id, told.exit["code"]) == ("run_1", 0)
        assert await executor.held() == ["run_1"]
        await sandbox.remove()
        await missing(executor, "run_1")

    async def test_a_called_sandbox_is_found_by_the_next_server(self, executor: Executor, restarted, order, warm):
        await executor.launch(call(order, WAIT), warm)
        following = await restarted()
        found: Sandbox = await following.find("run_1")
        await hear(found, until=says("waiting"))
        await found.kill()
        await found.remove()
        await missing(following, "run_1")

    async def test_what_died_while_it_waited_takes_no_run(self, executor: Executor, order):
        warm = await executor.prepare(preparation(order, memory=1 << 29))
        ended = asyncio.ensure_future(warm.ended())
        await warm.discard()
        async with asyncio.timeout(30):
            await ended
        with pytest.raises(LaunchFailed, match="did not take the run"):
            await executor.launch(call(order, SAW), warm)
        await missing(executor, "run_1")

    async def test_a_large_call_arrives_whole(self, executor: Executor, order, warm):
        code = f"text = '{'x' * (4 << 20)}'\nresult = len(text)"
        sandbox = await executor.launch(call(order, code), warm)
        assert (await hear(sandbox)).result == 4 << 20
        await sandbox.remove()

    async def test_a_project_that_cannot_be_imported_does_not_get_warm(self, executor: Executor, order):
        wrong = preparation(order)
        wrong = msgspec.structs.replace(wrong, spec={**wrong.spec, "entrypoint": "graph:nothing"})
        with pytest.raises(LaunchFailed, match="has no 'nothing'"):
            await executor.prepare(wrong)
        await missing(executor, "warm_1")

    async def test_a_preparation_that_is_cancelled_leaves_nothing(self, executor: Executor, order):
        preparing = asyncio.ensure_future(executor.prepare(preparation(order)))
        await asyncio.sleep(0.3)
        preparing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await preparing
        await missing(executor, "warm_1")

    async def test_what_waits_is_cleared_away_by_the_next_server(self, executor: Executor, restarted, order, warm):
        following = await restarted()
        async with asyncio.timeout(30):
            await warm.ended()
        await missing(following, "warm_1")
