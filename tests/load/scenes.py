"""Loads of several kinds upon a real server in a process of its own, each told in figures."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.server import ADMIN_KEY, Api, ServerProcess

HEAD = f"Authorization: Bearer {ADMIN_KEY}\r\n"


def percentile(values: list[float], part: float) -> float:
    """The value that `part` of all do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def memory(server: ServerProcess) -> float:
    """The server's resident memory in MiB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


@dataclass
class Figures:
    """What a load was, and what it did to the server."""

    scene: str
    answers: Counter[int] = field(default_factory=Counter)
    health: list[float] = field(default_factory=list)  # seconds that GET /healthz took, asked all the while
    memory_before: float = 0.0
    memory_most: float = 0.0
    more: dict[str, object] = field(default_factory=dict)

    def told(self) -> str:
        """In one line."""
        health = [1000 * percentile(self.health, part) for part in (0.5, 0.99)]
        more = ", ".join(f"{name} {value}" for name, value in self.more.items())
        return (
            f"{self.scene}: answers {dict(self.answers)}, health p50 {health[0]:.0f} ms p99 {health[1]:.0f} ms of "
            f"{len(self.health)}, memory {self.memory_before:.0f} → {self.memory_most:.0f} MiB; {more}"
        )


async def ask(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request on a connection of its own; its status and body."""
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", port)
    try:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        outgoing.write(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\n{HEAD}{length}Connection: close\r\n\r\n".encode() + body
        )
        answer = await incoming.read()
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), rest
    finally:
        outgoing.close()


@asynccontextmanager
async def watched(server: ServerProcess, figures: Figures) -> AsyncIterator[None]:
    """Ask for the server's health all the while, and look at its memory."""

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            async with asyncio.timeout(30):
                status, _ = await ask(server.port, "GET", "/healthz")
            assert status == 200
            figures.health.append(time.perf_counter() - began)
            figures.memory_most = max(figures.memory_most, memory(server))
            await asyncio.sleep(0.05)

    figures.memory_before = memory(server)
    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        if not watching.done():
            watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        if not watching.cancelled() and (fault := watching.exception()):
            raise AssertionError(f"health was not answered: {fault!r}")


async def flood(server: ServerProcess, seconds: float, posters: int) -> Figures:
    """Runs are asked for by many at once, as fast as they are answered, on a server that can run two at a time."""
    figures = Figures("flood")
    until = time.monotonic() + seconds
    accepted: list[str] = []

    async def poster() -> None:
        body = json.dumps({"deployment_id": "probe", "input": {"steps": [["say", "x"]]}}).encode()
        while time.monotonic() < until:
            status, answer = await ask(server.port, "POST", "/v1/runs", body)
            figures.answers[status] += 1
            if status == 202:
                accepted.append(json.loads(answer)["run_id"])
            else:
                await asyncio.sleep(0.05)

    async with watched(server, figures):
        await asyncio.gather(*(poster() for _ in range(posters)))
    figures.more = {"accepted": len(accepted), "accepted a second": round(len(accepted) / seconds)}
    statuses = Counter(
        [json.loads((await ask(server.port, "GET", f"/v1/runs/{one}"))[1])["status"] for one in accepted[:50]]
    )
    assert sum(statuses.values()) == min(50, len(accepted)), "an accepted run is gone"
    return figures


async def idle(server: ServerProcess, run_id: str, streams: int) -> Figures:
    """Many clients follow a run that says nothing."""
    figures = Figures("idle streams")
    connections = []
    async with watched(server, figures):
        for _ in range(streams):
            incoming, outgoing = await asyncio.open_connection("127.0.0.1", server.port, limit=2048)
            outgoing.write(f"GET /v1/runs/{run_id}/events HTTP/1.1\r\nHost: x\r\n{HEAD}\r\n".encode())
            await incoming.readuntil(b"\r\n\r\n")
            connections.append(outgoing)
        await asyncio.sleep(1)
    more = figures.memory_most - figures.memory_before
    figures.more = {"streams": streams, "KiB a stream": round(more * 1024 / streams, 1)}
    for outgoing in connections:
        outgoing.close()
    return figures


async def slow_readers(server: ServerProcess, run_id: str, readers: int, seconds: float) -> Figures:
    """Clients ask for a long stream and then read nothing, beside one who reads it all."""
    figures = Figures("slow readers")
    connections = []
    async with watched(server, figures):
        for _ in range(readers):
            _, outgoing = await asyncio.open_connection("127.0.0.1", server.port, limit=2048)
            outgoing.write(f"GET /v1/runs/{run_id}/events HTTP/1.1\r\nHost: x\r\n{HEAD}\r\n".encode())
            connections.append(outgoing)
        await asyncio.sleep(seconds)
        began = time.perf_counter()
        _, stream = await ask(server.port, "GET", f"/v1/runs/{run_id}/events")
        figures.more = {"readers": readers, "one who reads": f"{time.perf_counter() - began:.1f} s"}
        assert stream.count(b"event: log") >= 2000
    for outgoing in connections:
        outgoing.close()
    return figures


async def slow_writers(server: ServerProcess, writers: int, seconds: float) -> Figures:
    """Slow loris: half of them never finish their headers, half drip an upload, byte by byte."""
    figures = Figures("slow writers")
    until = time.monotonic() + seconds

    async def writer(number: int) -> None:
        _, outgoing = await asyncio.open_connection("127.0.0.1", server.port)
        begin = "GET /v1/runs HTTP/1.1\r\nHost: x\r\nX-Slow: "
        upload = "POST /v1/deployments/probe/versions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
        outgoing.write(begin.encode() if number % 2 else f"{upload}{HEAD}\r\n".encode())
        while time.monotonic() < until and not outgoing.is_closing():
            outgoing.write(b"x")
            await asyncio.sleep(0.2)
        outgoing.close()

    async with watched(server, figures):
        await asyncio.gather(*(writer(number) for number in range(writers)))
    figures.more = {"writers": writers}
    return figures


async def neighbour(server: ServerProcess, seconds: int) -> Figures:
    """A run prints as fast as it can; the lines of another, one every 50 ms, are timed on their way to a client."""
    figures = Figures("loud neighbour")

    async def start(deployment: str, *steps: list[object]) -> str:
        body = json.dumps({"deployment_id": deployment, "input": {"steps": steps}}).encode()
        _, answer = await ask(server.port, "POST", "/v1/runs", body)
        return str(json.loads(answer)["run_id"])

    async def delays(run_id: str) -> list[float]:
        """Seconds between two lines at the client, less the 50 ms that lie between them in the run."""
        incoming, outgoing = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
        outgoing.write(f"GET /v1/runs/{run_id}/events HTTP/1.1\r\nHost: x\r\n{HEAD}\r\n".encode())
        came: list[float] = []
        async for line in incoming:
            if b'"line ' in line:
                came.append(time.perf_counter())
            if b"event: run.completed" in line:
                break
        outgoing.close()
        return [max(0.0, later - sooner - 0.05) for sooner, later in pairwise(came)]

    lines = seconds * 20
    alone = await delays(await start("probe", ["slowly", lines, 0.05]))
    async with watched(server, figures):
        loud = await start("probe", ["count", 6_000 * seconds])
        beside = await delays(await start("probe", ["slowly", lines, 0.05]))
        await ask(server.port, "POST", f"/v1/runs/{loud}/cancel")
    figures.more = {
        name: " ".join(f"p{round(part * 100)} {1000 * percentile(values, part):.0f} ms" for part in (0.5, 0.99))
        for name, values in (("late alone", alone), ("late beside it", beside))
    }
    return figures


def opened(folder: Path, **environment: str) -> ServerProcess:
    """A server with the probe on it, that may run two at a time."""
    server = ServerProcess(folder / "data", CREWSHIP_CONCURRENCY="2", CREWSHIP_RATE_LIMIT="0", **environment).start()
    with server.client() as client:
        assert Api(client).deploy("probe")["status"] == "ready"
    return server


def all_scenes(server: ServerProcess, size: float, tell: Callable[[str], None]) -> list[Figures]:
    """Every scene in turn; `size` 1 is the whole, a tenth a short form."""
    with server.client() as client:
        api = Api(client)
        long_one = api.run("probe", ["count", round(20_000 * max(size, 0.2))])["id"]
        still = api.start("probe", ["sleep", 600])
        api.until(still, "running")
        scenes = [
            lambda: idle(server, still, round(5_000 * size)),
            lambda: slow_readers(server, long_one, round(200 * size), 5 * size),
            lambda: slow_writers(server, round(400 * size), 10 * size),
            lambda: neighbour(server, max(2, round(10 * size))),
            lambda: flood(server, 20 * size, 50),
        ]
        told = []
        for scene in scenes:
            told.append(asyncio.run(scene()))
            tell(told[-1].told())
        client.post(f"/v1/runs/{still}/cancel")
    return told
