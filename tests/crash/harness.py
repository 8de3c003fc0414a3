"""Rounds of work and death over one data folder, from a seed."""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import invariants, points
from tests.crash.workload import Client, Down, Ledger, Readers, prepare
from tests.server import ServerProcess

WORK_SECONDS = 2.5
CHECK_EVERY = 10
ROOT = Path(__file__).parents[2]


@dataclass
class Tally:
    """What a harness has done."""

    kills: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    checks: int = 0
    ledger: Ledger = field(default_factory=Ledger)

    def told(self) -> str:
        """In one line."""
        runs, events = len(self.ledger.watched), sum(len(watched.seen) for watched in self.ledger.watched.values())
        return (
            f"{sum(self.kills.values())} kills in {self.lives} lives, {self.ledger.writes} acknowledged writes, "
            f"{runs} runs, {events} events read across crashes, {self.checks} checks"
        )


def crash(
    folder: Path, seed: int, kills: int, *, executor: str = "local", tell: Callable[[str], None] = lambda _: None
) -> Tally:
    """Kill a server so often, at points and moments that the seed chooses; what does not hold raises AssertionError."""
    chance = random.Random(seed)
    tally = Tally()
    server = ServerProcess(
        folder / "data", "--executor", executor, PYTHONPATH=str(ROOT), **_docker_environment(executor)
    )
    server.program = [sys.executable, "-m", points.__name__]
    client = Client(server, chance, tally.ledger)
    counts = folder / "counts"
    server.start(**{points.COUNTS: str(counts)})
    prepare(server)
    _live(server, client, tally, WORK_SECONDS, server.stop)
    most = Counter(json.loads(counts.read_text().splitlines()[-1]))
    tell(f"points in one life: {dict(most)}")
    for number, (name, at) in zip(range(1, kills + 1), _choices(chance, most), strict=False):
        if _killed_at(server, client, tally, name, at, chance):
            tally.kills[name] += 1
        else:
            tally.kills["some moment"] += 1
        if number % CHECK_EVERY == 0 or number == kills:
            _check(server, tally, in_docker=executor == "docker", last=number == kills)
            tell(f"{number}/{kills}: {tally.told()}")
    return tally


def _choices(chance: random.Random, most: Counter[str]) -> Iterator[tuple[str, int]]:
    """Points in turn, each at some passage of it; early ones more often, since a start is short and full of them."""
    while True:
        names = [name for name in points.POINTS if most[name]]
        chance.shuffle(names)
        for name in names:
            yield name, max(1, int(most[name] * chance.random() ** 2))


def _killed_at(server: ServerProcess, client: Client, tally: Tally, name: str, at: int, chance: random.Random) -> bool:
    """One life with its end at that point; False if it did not reach it and was killed at some moment."""
    try:
        server.start(**{points.AT: f"{name}:{at}"})
    except RuntimeError:  # it was killed while it started
        tally.lives += 1
        return True
    return _live(server, client, tally, WORK_SECONDS * chance.random(), server.kill)


def _live(server: ServerProcess, client: Client, tally: Tally, seconds: float, end: Callable[[], object]) -> bool:
    """Clients work and read until the server is down, or until `end` ends it; whether it went down by itself."""
    tally.lives += 1
    with Readers(server, tally.ledger):
        try:
            client.work(seconds)
        except Down:
            deadline = time.monotonic() + 10
            while server.alive and time.monotonic() < deadline:
                time.sleep(0.01)
        went = not server.alive
        end()
    return went


def _check(server: ServerProcess, tally: Tally, *, in_docker: bool, last: bool) -> None:
    server.start()
    tally.checks += 1
    invariants.after_a_restart(server, tally.ledger, in_docker=in_docker)
    if last or tally.checks % 3:
        assert server.stop() == 0
        invariants.of_a_stopped_server(server.data)
    else:
        server.kill()


def _docker_environment(executor: str) -> dict[str, str]:
    if executor != "docker":
        return {}
    from tests.docker import engine_and_base

    url, image = engine_and_base()
    return {"DOCKER_HOST": url, "CREWSHIP_BASE_IMAGE_SLIM_PYTHON_3_11": image}
