"""The journal in the engine's log: pieces joined, an engine that is away waited for."""

import asyncio
import struct
from contextlib import asynccontextmanager, suppress

import pytest

from crewship.engine import docker_journal
from crewship.engine.docker_engine import EngineAway, frames
from crewship.engine.docker_journal import JournalReader
from crewship.engine.docker_sandbox import DockerSandbox
from tests.conformance.executor import PROJECT, WAIT, hear, launch_of, order_of, says
from tests.docker import Server, engine_and_base, opened


class Relay:
    """A socket in front of the engine's, which can be cut: to whoever uses it the engine is away then."""

    def __init__(self, path, target: str) -> None:
        self._path, self._target = path, target
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.url = f"unix://{path}"

    async def restore(self) -> None:
        self._server = await asyncio.start_unix_server(self._connect, self._path)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        self._path.unlink(missing_ok=True)
        for writer in list(self._open):
            writer.transport.abort()

    async def _connect(self, reader, writer) -> None:
        there, engine = await asyncio.open_unix_connection(self._target.removeprefix("unix://"))
        self._open |= {writer, engine}
        await asyncio.gather(self._pump(reader, engine), self._pump(there, writer))
        self._open -= {writer, engine}

    async def _pump(self, reader, writer) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        with suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def relayed(path):
    relay = Relay(path, engine_and_base()[0])
    await relay.restore()
    try:
        yield relay
    finally:
        await relay.cut()


def framed(*pieces: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack(">BxxxL", stream, len(data)) + data for stream, data in pieces)


async def test_frames_are_found_however_the_bytes_arrive():
    data = framed((1, b"one"), (2, b""), (1, b"x" * 300))
    for size in (1, 7, 8, 100, 1000):

        async def arriving(size=size):
            for start in range(0, len(data), size):
                yield data[start : start + size]

        found = [pair async for batch in frames(arriving()) for pair in batch]
        assert found == [(1, b"one"), (2, b""), (1, b"x" * 300)]


async def test_an_engine_that_comes_back_is_read_on_from_the_last_line(tmp_path):
    order = order_of(PROJECT, tmp_path)
    async with opened(tmp_path / "data", "srv_journal") as server, relayed(tmp_path / "engine.sock") as relay:
        await server.build(order)
        sandbox = await server.executor.launch(launch_of(order, WAIT))
        elsewhere = Server(tmp_path / "other", "srv_journal", url=relay.url)
        await elsewhere.engine.open()
        watched = DockerSandbox(elsewhere.engine, "run_1", sandbox.container, tmp_path / "files")
        heard = await hear(watched, until=says("waiting"))
        going_on = asyncio.create_task(hear(watched, heard.lines[-1]["n"]))
        await relay.cut()
        with pytest.raises(EngineAway):
            await elsewhere.engine.json("GET", "info")
        stopping = asyncio.create_task(watched.stop())
        await hear(sandbox, until=says("waiting"))
        assert not going_on.done()
        assert not stopping.done()
        await relay.restore()
        await stopping
        rest = await going_on
        assert rest.lines[0]["n"] == heard.lines[-1]["n"] + 1
        assert rest.exit["reason"] == "stopped"
        await elsewhere.engine.close()


async def test_an_engine_that_stays_away_ends_the_lines_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(docker_journal, "AWAY_SECONDS", 0.2)
    server = Server(tmp_path, "srv_journal", url=f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(EngineAway):
        await server.engine.open()
    reader = JournalReader(server.engine, "0123456789ab", 0)
    assert [batch async for batch in reader.lines()] == []
    assert not reader.exited
    await server.engine.close()
