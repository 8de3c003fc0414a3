"""The local executor where bubblewrap does not work, and what only it does."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crewship.engine import bubblewrap
from crewship.engine.environments import LocalBuilder
from crewship.engine.executor import LaunchFailed
from crewship.engine.journal import holder
from crewship.engine.local import LocalExecutor
from tests.conformance.executor import PROJECT, WAIT, hear, launch_of, order_of, says
from tests.crewship.engine import cache


@pytest.fixture
async def order(tmp_path):
    order = order_of(PROJECT, tmp_path)
    async for _ in cache.shared_builder().build(order):
        pass
    return order


@pytest.fixture
async def plain(order, tmp_path):
    """An executor without sandboxes."""
    executor = LocalExecutor(tmp_path / "data", LocalBuilder(cache.folder(), sandboxed=False), "plain")
    await executor.open()
    yield executor
    assert await executor.held() == []
    await executor.close()


@pytest.fixture
async def confined(order, tmp_path):
    executor = LocalExecutor(tmp_path / "data", cache.shared_builder(), "confined")
    await executor.open()
    yield executor
    assert await executor.held() == []
    await executor.close()


async def test_without_bubblewrap_there_is_a_warning_that_says_why(plain):
    assert "NOT isolated" in plain.warning
    assert "switched off" in plain.warning


async def test_without_bubblewrap_a_run_works_in_its_own_folder(plain, order, tmp_path):
    code = "import os\nopen('artifacts/a', 'w').close()\nresult = [os.getcwd(), os.environ['TMPDIR'], dict(os.environ)]"
    sandbox = await plain.launch(launch_of(order, code, env={"NAME": "value"}))
    told = await hear(sandbox)
    folder = tmp_path / "data" / "runs" / "run_1"
    assert told.result[:2] == [str(folder / "app"), str(folder / "tmp")]
    assert told.result[2]["NAME"] == "value"
    assert not {"USER", "PYTEST_CURRENT_TEST"} & set(told.result[2])
    assert [file.name for file in (await sandbox.artifacts())[0]] == ["a"]
    await sandbox.remove()


async def test_without_bubblewrap_killing_a_run_ends_all_that_it_started(plain, order):
    code = """
        import os, time
        if os.fork() == 0:
            os.setsid()
        print('waiting', os.getpid(), flush=True)
        time.sleep(1000)
    """
    sandbox = await plain.launch(launch_of(order, code))
    seen = []
    await hear(sandbox, until=lambda line: says("waiting")(line) and (seen.append(line), len(seen) == 2)[1])
    await sandbox.kill()
    for line in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(int(line["message"].split()[1]), 0)
    await sandbox.remove()


async def test_without_bubblewrap_a_guard_that_does_not_answer_is_killed_with_its_child(
    plain, order, tmp_path, monkeypatch
):
    monkeypatch.setattr("crewship.engine.sandboxes._PATIENCE", 0.1)
    sandbox = await plain.launch(launch_of(order, WAIT))
    await hear(sandbox, until=says("waiting"))
    guard = holder(tmp_path / "data" / "runs" / "run_1" / "lock")
    assert guard is not None
    os.kill(guard, 19)
    await sandbox.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(guard, 0)
    await sandbox.remove()


async def test_a_sandbox_that_cannot_start_says_why_and_leaves_nothing(confined, order, monkeypatch):
    monkeypatch.setattr(bubblewrap, "_system", lambda: ["--ro-bind", "/not/there", "/usr"])
    with pytest.raises(LaunchFailed, match="/not/there"):
        await confined.launch(launch_of(order, WAIT))
    assert await confined.held() == []


async def test_runs_have_users_of_their_own_where_the_server_is_root(confined, order, tmp_path):
    sandboxes = [await confined.launch(launch_of(order, WAIT, run_id=f"run_{number}")) for number in range(2)]
    owners = {(tmp_path / "data" / "runs" / f"run_{number}" / "app").stat().st_uid for number in range(2)}
    assert len(owners) == (2 if os.geteuid() == 0 else 1)
    assert os.geteuid() != 0 or min(owners) >= 400_000
    for sandbox in sandboxes:
        await sandbox.remove()


async def test_what_a_crash_left_half_done_is_removed_at_the_next_start(confined, tmp_path):
    runs = tmp_path / "data" / "runs"
    for name in (".gone-run_1-00", "run_2", "run_3"):
        (runs / name / "app").mkdir(parents=True)
    for name in ("lock", "journal"):
        (runs / "run_3" / name).touch()
    assert await confined.held() == ["run_2", "run_3"]
    assert await confined.find("run_2") is None
    again = LocalExecutor(tmp_path / "data", cache.shared_builder(), "confined")
    await again.open()
    assert list(runs.iterdir()) == []
    await again.close()


async def test_a_sandbox_that_is_lost_ends_its_lines_without_an_exit(confined, order, tmp_path):
    sandbox = await confined.launch(launch_of(order, WAIT))
    await hear(sandbox, until=says("waiting"))
    guard = holder(tmp_path / "data" / "runs" / "run_1" / "lock")
    assert guard is not None
    os.kill(guard, 9)
    told = await hear(sandbox)
    assert told.lines[-1]["type"] != "exit"
    await sandbox.remove()


async def test_a_run_outlives_the_server_that_started_it(confined, order, tmp_path):
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom crewship.engine.local import LocalExecutor\n"
        "from tests.conformance.executor import *\nfrom tests.crewship.engine import cache\n"
        "async def main(folder):\n    executor = LocalExecutor(folder / 'data', cache.shared_builder(), 'confined')\n"
        "    await executor.open()\n    order = order_of(PROJECT, folder)\n"
        "    await hear(await executor.launch(launch_of(order, WAIT)), until=says('waiting'))\n"
        "    import os; os._exit(0)\n"
        "asyncio.run(main(Path(sys.argv[1])))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    await asyncio.to_thread(subprocess.run, command, check=True, cwd=Path(__file__).parents[3], timeout=60)
    found = await confined.find("run_1")
    assert found is not None
    assert says("waiting")((await hear(found, until=says("waiting"))).lines[-1])
    await found.stop()
    assert (await hear(found)).exit["reason"] == "stopped"
    await found.remove()


async def test_what_bounds_the_runs_is_known(confined):
    assert confined.limits_by in ("guard", "cgroup v1", "cgroup v2")
