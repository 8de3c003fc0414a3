"""What a client sees: how soon after an append, and how many frames a second reach a hundred readers."""

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

from crewship.app import Server, running
from crewship.config import Settings
from crewship.eventlog import Author, Change
from domain.output import LogWritten
from domain.run import RunClaimed, RunRequested
from domain.version import VersionCreated, VersionReady
from tests.bench.figures import percentile, tell

KEY = "key-of-the-bench"
AUTHOR = Author(by="key:bench")
READERS = 100
TEXT = "a line of some sixty characters, as programs like to print them"


async def reader(port: int, path: str, ends: bytes) -> int:
    """Read one stream until `ends` has come; returns the number of bytes."""
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    outgoing.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
    count, tail = 0, b""
    while ends not in tail:
        piece = await incoming.read(1 << 18)
        if not piece:
            break
        count += len(piece)
        tail = tail[-len(ends) :] + piece
    outgoing.close()
    return count


async def _read_all(port: int, path: str, ends: bytes) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(reader(port, path, ends) for _ in range(READERS)))
    return time.perf_counter() - began


def readers_process(pipe: Connection) -> None:
    """Runs readers on request, in a process of their own as clients are: (port, path, ends) in, seconds out."""
    while (job := pipe.recv()) is not None:
        pipe.send(asyncio.run(_read_all(*job)))


async def bare_server(pieces: list[bytes]) -> asyncio.Server:
    """A socket that writes the same bytes in the same pieces, and does nothing else."""

    async def answer(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        await incoming.readuntil(b"\r\n\r\n")
        for piece in pieces:
            outgoing.write(piece)
            await outgoing.drain()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def prepare(server: Server, run_id: str, lines: int) -> int:
    """A run that another server holds, so that this one leaves it alone, with so many lines; returns the version."""
    log = server.service.log
    version = VersionCreated(
        version_id="ver_bench",
        deployment_id="dep_bench",
        version_number=1,
        environment="production",
        source_sha256="0" * 64,
        size=1,
        files=1,
        manifest={"framework": "langgraph", "entrypoint": "g:g"},
    )
    ready = VersionReady(version_id="ver_bench", version_number=1, environment="production", activated=True)
    if (await log.end("ver_bench"))[0] == 0:
        await log.append(Change("ver_bench", 0, [version, ready]), author=AUTHOR)
    requested = RunRequested(
        run_id=run_id, deployment_id="dep_bench", version_id="ver_bench", version_number=1, environment="production"
    )
    await log.append(
        Change(run_id, 0, [requested, RunClaimed(run_id=run_id, server_id="srv_other", epoch=1)]), author=AUTHOR
    )
    for start in range(0, lines, 500):
        events = [LogWritten(level="info", message=f"{TEXT} {number}") for number in range(start, start + 500)]
        await log.append(Change(f"{run_id}:output", start, events), author=AUTHOR)
    return lines


async def latency(server: Server, count: int) -> list[float]:
    """Seconds from the call of append to the frame at a client, one event at a time."""
    log = server.service.log
    await prepare(server, "run_latency", 0)
    port = int(server.url.rpartition(":")[2])
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", port)
    path = "/v1/runs/run_latency/events"
    outgoing.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
    await incoming.readuntil(b"run.created")
    times = []
    for number in range(count):
        began = time.perf_counter()
        event = LogWritten(level="info", message=f"mark-{number}-")
        append = asyncio.create_task(log.append(Change("run_latency:output", number, [event]), author=AUTHOR))
        await incoming.readuntil(f"mark-{number}-".encode())
        times.append(time.perf_counter() - began)
        await append
        await asyncio.sleep(0.002)
    outgoing.close()
    return times


async def measure(folder: Path, lines: int) -> None:
    """Latency, then frames."""
    settings = Settings(data=folder, port=0, admin_key=KEY)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=readers_process, args=(theirs,), daemon=True)
    process.start()
    async with running(settings) as server:
        times = await latency(server, 500)
        p50, p99 = (1000 * percentile(times, part) for part in (0.5, 0.99))
        tell("append → frame at a client, ms", f"p50 {p50:.1f} p99 {p99:.1f}")
        await prepare(server, "run_frames", lines)
        port = int(server.url.rpartition(":")[2])
        path = "/v1/runs/run_frames/events"
        seconds = await ask(ours, (port, path, f"{TEXT} {lines - 1}".encode()))
        pieces = await recorded(port, path, f"{TEXT} {lines - 1}".encode())
        bare = await bare_server(pieces)
        bare_port = bare.sockets[0].getsockname()[1]
        best = await ask(ours, (bare_port, path, f"{TEXT} {lines - 1}".encode()))
        bare.close()
        frames = READERS * (lines + 1)
        tell(
            f"frames/s to {READERS} readers",
            f"{frames / seconds:,.0f}",
            f"a bare socket: {frames / best:,.0f}",
            best / seconds,
        )
    ours.send(None)
    process.join()


async def ask(pipe: Connection, job: tuple[int, str, bytes]) -> float:
    """Have the readers' process do a job; seconds it took."""
    pipe.send(job)
    return float(await asyncio.to_thread(pipe.recv))


async def recorded(port: int, path: str, ends: bytes) -> list[bytes]:
    """A stream's bytes in the pieces in which they come."""
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    outgoing.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
    pieces, tail = [], b""
    while ends not in tail:
        pieces.append(await incoming.read(1 << 18))
        tail = tail[-len(ends) :] + pieces[-1]
    outgoing.close()
    return pieces
