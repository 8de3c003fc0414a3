"""What holds for every executor: subclass `ExecutorSuite` in a test module and give it the fixtures that it names.

The code of the runs is real: a LangGraph project whose one node executes the code that its input holds.
"""

import asyncio
import errno
import gzip
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pytest

from crewship.engine.executor import BuildOrder, Executor, Launch, LaunchFailed, Sandbox

GRAPH = """
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    code: str
    result: Any


def execute(state: State) -> State:
    place: dict[str, Any] = {}
    exec(compile(state["code"], "code", "exec"), place)
    return {"result": place.get("result")}


builder = StateGraph(State)
builder.add_node("execute", execute)
builder.add_edge(START, "execute")
builder.add_edge("execute", END)
graph = builder.compile()
"""
PROJECT = {
    "graph.py": GRAPH,
    "requirements.txt": "langgraph==1.0.5\n",
    "data/words.txt": "from the snapshot",
    "artifacts/old.txt": "from an earlier run",
}
LIMITS = {"timeout": 30, "grace": 0.5, "memory": 1 << 29, "processes": 64, "disk": 1 << 29, "cpus": 1, "logs": 1 << 25}


def pack(files: dict[str, str], path: Path) -> str:
    """Write a snapshot; its sha256. The same files give the same bytes."""
    with tarfile.open(path, "w") as archive:
        for name, text in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def order_of(files: dict[str, str], folder: Path, *, deployment: str = "dep_conformance", **other: Any) -> BuildOrder:
    """An order to build these files, packed into the folder; a version of its own for each content."""
    path = folder / "snapshot.tar.gz"
    sha256 = pack(files, path)
    given = {"framework": "langgraph", "entrypoint": "graph:graph", "python": None} | other
    return BuildOrder(
        deployment_id=deployment, version_id=f"ver_{sha256[:16]}", snapshot=path, source_sha256=sha256, **given
    )


def launch_of(
    order: BuildOrder,
    code: str,
    *,
    run_id: str = "run_1",
    env: dict[str, str] | None = None,
    network: str = "internet",
    **limits: Any,
) -> Launch:
    """A run that executes the code."""
    spec = {
        "run_id": run_id,
        "thread_id": None,
        "framework": order.framework,
        "entrypoint": order.entrypoint,
        "input": {"code": dedent(code)},
        "env": env or {},
        "limits": LIMITS | limits,
    }
    return Launch(run_id=run_id, order=order, spec=spec, network=network)


class Told:
    """What a sandbox said."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == kind]

    @property
    def logs(self) -> list[str]:
        return [line["message"] for line in self.of("log")]

    @property
    def exit(self) -> dict[str, Any]:
        assert self.lines[-1]["type"] == "exit", self.lines[-1]
        return self.lines[-1]

    @property
    def result(self) -> Any:
        """What the code left as `result`; fails with all that was said if it did not get so far."""
        assert self.of("result"), self.lines
        return self.of("result")[0]["output"]["result"]


async def hear(sandbox: Sandbox, after: int = 0, until: Callable[[dict[str, Any]], bool] | None = None) -> Told:
    """What it says from behind that line on: to its end, or to the line that fits."""
    told = Told()
    async with asyncio.timeout(60), aclosing(sandbox.lines(after)) as batches:  # type: ignore[type-var]
        async for batch in batches:
            for raw in batch:
                told.lines.append(msgspec.json.decode(raw))
                if until is not None and until(told.lines[-1]):
                    return told
    return told


def says(text: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a line is a log line with this text in it."""
    return lambda line: line["type"] == "log" and text in line["message"]


WAIT = "import time\nprint('waiting', flush=True)\nwhile True: time.sleep(0.01)\n"


class ExecutorSuite:
    """Fixtures that the subclass provides: `executor` (open), `restarted` (called, it gives another open executor over
    the same things, as a new server would), `order` (of PROJECT, built).
    """

    @pytest.fixture
    async def run(self, executor: Executor, order: BuildOrder) -> AsyncIterator[Callable[..., Any]]:
        """Execute code in a sandbox and hear it to its end: (sandbox, told). Removed after the test."""
        started: list[Sandbox] = []

        async def execute(code: str, **more: Any) -> tuple[Sandbox, Told]:
            sandbox = await executor.launch(launch_of(order, code, run_id=f"run_{len(started) + 1}", **more))
            started.append(sandbox)
            return sandbox, await hear(sandbox)

        yield execute
        for sandbox in started:
            await sandbox.remove()

    @pytest.fixture
    async def waiting(self, executor: Executor, order: BuildOrder) -> AsyncIterator[Sandbox]:
        """A run that waits for ever, and has said so in line `waiting.said`."""
        sandbox = await executor.launch(launch_of(order, WAIT, run_id="run_waiting"))
        await hear(sandbox, until=says("waiting"))
        yield sandbox
        await sandbox.kill()
        await sandbox.remove()

    async def test_a_run_says_ready_then_its_result_then_its_exit_in_numbered_lines(self, run):
        _, told = await run("result = 6 * 7")
        assert [line["n"] for line in told.lines] == list(range(1, len(told.lines) + 1))
        assert told.lines[0]["type"] == "ready"
        assert told.result == 42
        assert (told.exit["code"], told.exit["reason"]) == (0, None)

    async def test_lines_are_read_on_behind_any_number(self, run):
        sandbox, told = await run("print('one'); print('two')")
        for after in range(len(told.lines)):
            assert (await hear(sandbox, after)).lines == told.lines[after:]
        assert (await hear(sandbox, len(told.lines))).lines == []

    async def test_a_line_arrives_while_the_run_goes_on(self, waiting):
        assert (await hear(waiting, until=says("waiting"))).logs[-1] == "waiting"

    async def test_the_working_directory_holds_the_snapshot(self, run):
        _, told = await run(
            "import os\nresult = [os.getcwd() == os.path.dirname(os.path.abspath('graph.py')), "
            "open('data/words.txt').read()]"
        )
        assert told.result == [True, "from the snapshot"]

    async def test_the_artifacts_folder_is_there_and_empty(self, run):
        _, told = await run("import os; result = os.listdir('artifacts')")
        assert told.result == []

    async def test_what_a_run_writes_to_its_project_no_other_run_sees(self, run):
        _, first = await run("open('data/words.txt', 'w').write('changed'); open('graph.py', 'w').write('')")
        _, second = await run("result = open('data/words.txt').read()")
        assert first.exit["code"] == second.exit["code"] == 0
        assert second.result == "from the snapshot"

    async def test_artifacts_are_collected_by_name(self, run):
        sandbox, _ = await run(
            "import os\nos.makedirs('artifacts/b/c')\nopen('artifacts/b/c/two.txt', 'w').write('22')\n"
            "open('artifacts/a.txt', 'w').write('1')\nopen('artifacts/é.txt', 'w').write('333')\n"
            "os.chmod('artifacts/a.txt', 0); os.chmod('artifacts/b', 0)"
        )
        files, refused = await sandbox.artifacts()
        assert [(file.name, file.size) for file in files] == [("a.txt", 1), ("b/c/two.txt", 2), ("é.txt", 3)]
        assert [file.path.read_bytes() for file in files] == [b"1", b"22", b"333"]
        assert refused == []

    async def test_links_fifos_and_odd_names_are_refused_as_artifacts(self, run):
        sandbox, told = await run(
            "import os\nos.chdir('artifacts')\nos.symlink('/etc/passwd', 'link')\nos.symlink('/etc', 'folder')\n"
            "os.mkfifo('fifo')\nopen('a\\nb', 'w').close()\nopen(b'\\xff', 'w').close()\nopen('good', 'w').close()"
        )
        assert told.exit["code"] == 0
        files, refused = await sandbox.artifacts()
        assert [file.name for file in files] == ["good"]
        assert sorted(entry.name for entry in refused) == ["a\ufffdb", "fifo", "folder", "link", "\ufffd"]
        assert all(entry.why for entry in refused)

    async def test_an_artifacts_folder_that_became_a_link_is_not_followed(self, run):
        sandbox, _ = await run("import os; os.rmdir('artifacts'); os.symlink('data', 'artifacts')")
        files, refused = await sandbox.artifacts()
        assert files == []
        assert len(refused) == 1

    async def test_artifacts_of_a_run_that_failed_are_collected(self, run):
        sandbox, told = await run("open('artifacts/a', 'w').close(); raise ValueError('wrong')")
        assert told.exit["code"] != 0
        assert [file.name for file in (await sandbox.artifacts())[0]] == ["a"]

    async def test_a_stopped_run_is_told_by_sigterm_and_may_say_a_last_word(self, executor, order):
        code = """
            import time
            try:
                print('waiting', flush=True)
                while True: time.sleep(0.01)
            finally:
                print('stopping')
        """
        sandbox = await executor.launch(launch_of(order, code))
        await hear(sandbox, until=says("waiting"))
        await sandbox.stop()
        told = await hear(sandbox)
        assert "stopping" in told.logs
        assert told.exit["reason"] == "stopped"
        await sandbox.remove()

    async def test_a_stopped_run_that_does_not_listen_is_killed_after_its_grace(self, executor, order):
        code = """
            import time
            print('waiting', flush=True)
            while True:
                try:
                    while True: time.sleep(0.01)
                except BaseException:
                    pass
        """
        sandbox = await executor.launch(launch_of(order, code, grace=0.1))
        await hear(sandbox, until=says("waiting"))
        await sandbox.stop()
        told = await hear(sandbox)
        assert (told.exit["signal"], told.exit["reason"]) == (9, "stopped")
        await sandbox.remove()

    async def test_a_killed_run_ends_without_an_exit_line_or_with_one(self, waiting):
        await waiting.kill()
        told = await hear(waiting)
        assert says("waiting")(told.lines[-1]) or told.exit["reason"] == "stopped"

    async def test_stopping_and_killing_what_has_ended_does_nothing(self, run):
        sandbox, told = await run("result = 1")
        await sandbox.stop()
        await sandbox.kill()
        await sandbox.kill()
        assert (await hear(sandbox)).lines == told.lines

    async def test_a_run_that_takes_too_long_ends_for_that_reason(self, run):
        _, told = await run(WAIT, timeout=1.5)
        assert told.exit["reason"] == "timeout"

    async def test_a_run_that_takes_all_memory_ends_for_that_reason(self, run):
        _, told = await run("hoard = []\nwhile True: hoard.append(bytearray(b'x') * (32 << 20))", memory=200 << 20)
        assert told.exit["reason"] == "out_of_memory"

    async def test_memory_is_counted_over_all_processes_of_a_run(self, run):
        code = """
            import os, signal
            for _ in range(6):
                if os.fork() == 0:
                    hoard = bytearray(b'x') * (60 << 20)
                    while True: signal.pause()
            signal.pause()
        """
        _, told = await run(code, memory=250 << 20)
        assert told.exit["reason"] == "out_of_memory"

    async def test_a_run_that_fills_the_disk_ends_for_that_reason(self, run):
        code = """
            import os, time
            with open(os.environ['TMPDIR'] + '/filler', 'wb') as file:
                while True:
                    file.write(bytes(1 << 20)); file.flush(); time.sleep(0.005)
        """
        _, told = await run(code, disk=60 << 20)
        assert told.exit["reason"] == "disk_full"

    async def test_a_fork_bomb_meets_its_limit_and_dies_with_its_run(self, run):
        code = """
            import os, signal
            children = 0
            try:
                while True:
                    if os.fork() == 0:
                        while True: signal.pause()
                    children += 1
            except OSError as error:
                result = [children, error.errno]
        """
        _, told = await run(code, processes=40)
        children, number = told.result
        assert 0 < children < 40
        assert number == errno.EAGAIN
        assert told.exit["reason"] is None

    async def test_what_a_run_leaves_behind_dies_with_it(self, run):
        code = """
            import os, time
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    for number in range(10**6):
                        open('artifacts/alive', 'w').write(str(number))
                        time.sleep(0.001)
                os._exit(0)
            while not os.path.exists('artifacts/alive'): time.sleep(0.001)
        """
        sandbox, told = await run(code)
        assert told.exit["code"] == 0
        files, _ = await sandbox.artifacts()
        before = files[0].path.stat().st_mtime_ns
        await asyncio.sleep(0.05)  # fifty times what it would take to write again
        assert files[0].path.stat().st_mtime_ns == before

    async def test_a_restarted_server_finds_a_run_and_reads_on(self, executor, restarted, order):
        sandbox = await executor.launch(launch_of(order, WAIT))
        before = await hear(sandbox, until=says("waiting"))
        await executor.close()
        second = await restarted()
        found = await second.find("run_1")
        assert found is not None
        assert await second.held() == ["run_1"]
        await found.stop()
        after = await hear(found, before.lines[-1]["n"])
        assert after.lines[0]["n"] == before.lines[-1]["n"] + 1
        assert after.exit["reason"] == "stopped"
        assert (await found.artifacts()) == ([], [])
        await found.remove()
        assert await second.held() == []

    async def test_a_restarted_server_finds_a_run_that_ended_meanwhile(self, executor, restarted, order):
        sandbox = await executor.launch(launch_of(order, "open('artifacts/a', 'w').close()"))
        told = await hear(sandbox)
        await executor.close()
        second = await restarted()
        found = await second.find("run_1")
        assert found is not None
        assert (await hear(found)).lines == told.lines
        assert [file.name for file in (await found.artifacts())[0]] == ["a"]
        await found.remove()

    async def test_a_restarted_server_can_kill_a_run(self, executor, restarted, order):
        await hear(await executor.launch(launch_of(order, WAIT)), until=says("waiting"))
        await executor.close()
        found = await (await restarted()).find("run_1")
        assert found is not None
        await found.kill()
        await hear(found)
        await found.remove()

    async def test_a_run_is_held_until_it_is_removed_which_may_be_done_twice(self, executor, order):
        sandbox = await executor.launch(launch_of(order, "result = 1"))
        assert await executor.held() == ["run_1"]
        await hear(sandbox)
        await sandbox.remove()
        await sandbox.remove()
        assert await executor.held() == []
        assert await executor.find("run_1") is None

    async def test_removing_a_run_that_lives_ends_it(self, executor, order):
        sandbox = await executor.launch(launch_of(order, WAIT))
        await hear(sandbox, until=says("waiting"))
        await sandbox.remove()
        assert await executor.held() == []

    async def test_folders_that_a_run_closed_or_nested_deeply_are_removed(self, executor, order):
        code = """
            import os
            os.makedirs('artifacts/x/y')
            open('artifacts/x/y/z', 'w').close()
            os.chmod('artifacts/x/y', 0)
            os.chmod('artifacts/x', 0)
            for number in range(3000):
                os.mkdir('deeper')
                os.chdir('deeper')
        """
        sandbox = await executor.launch(launch_of(order, code))
        assert (await hear(sandbox)).exit["code"] == 0
        await sandbox.artifacts()
        await sandbox.remove()
        assert await executor.held() == []

    async def test_an_unknown_run_is_not_found(self, executor):
        assert await executor.find("run_unknown") is None
        assert await executor.find("../runs") is None

    async def test_a_run_is_not_started_twice(self, executor, order, waiting):
        with pytest.raises(LaunchFailed, match="run_waiting"):
            await executor.launch(launch_of(order, WAIT, run_id="run_waiting"))
        assert await executor.held() == ["run_waiting"]

    async def test_a_version_that_is_not_built_here_is_built_before_its_first_run(self, executor, order):
        elsewhere = msgspec.structs.replace(order, version_id="ver_elsewhere")
        sandbox = await executor.launch(launch_of(elsewhere, "print('here')"))
        assert (await hear(sandbox)).exit["code"] == 0
        await sandbox.remove()

    async def test_a_version_that_can_no_longer_be_built_cannot_be_started(self, executor, order, tmp_path):
        unbuilt = msgspec.structs.replace(
            order, version_id="ver_unbuilt", source_sha256="0" * 64, snapshot=tmp_path / "gone"
        )
        with pytest.raises(LaunchFailed, match="ver_unbuilt"):
            await executor.launch(launch_of(unbuilt, WAIT))
        assert await executor.held() == []

    async def test_a_cancelled_launch_leaves_nothing_behind(self, executor, order):
        for turns in (1, 3, 10):
            starting = asyncio.ensure_future(executor.launch(launch_of(order, WAIT)))
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            assert await executor.held() == []

    async def test_the_environment_is_the_given_one(self, run, monkeypatch):
        monkeypatch.setenv("SERVERS_SECRET", "hidden")
        given = {"NAME": "värde\nline two", "EMPTY": "", "HOME": "/nowhere", "TOKEN": "=x="}
        _, told = await run("import os; result = dict(os.environ)", env=given)
        assert given.items() <= told.result.items()
        assert "SERVERS_SECRET" not in told.result
        added = set(told.result) - set(given)
        assert added <= {
            *("PATH", "TMPDIR", "LANG", "VIRTUAL_ENV", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PWD", "LC_CTYPE")
        }

    async def test_a_large_input_arrives(self, run):
        _, told = await run("result = len(text)\n".replace("text", repr("ab" * (1 << 20))))
        assert told.result == 2 << 20

    async def test_much_output_arrives_whole_and_in_order(self, run):
        _, told = await run("for number in range(20_000): print(number)", logs=64 << 20)
        assert [line for line in told.logs if line.isdigit()] == [str(number) for number in range(20_000)]

    async def test_a_line_of_ten_megabytes_is_cut(self, run):
        _, told = await run("print('x' * (10 << 20)); print('after')")
        long = next(line for line in told.of("log") if line["message"].startswith("xxx"))
        assert long["truncated"]
        assert len(long["message"]) <= 64 << 10
        assert "after" in told.logs

    async def test_a_result_of_megabytes_arrives_whole(self, run):
        _, told = await run("result = 'y' * (8 << 20)")
        assert told.result == "y" * (8 << 20)
