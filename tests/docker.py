"""A real Docker engine and a base image for tests, by scripts/docker-for-tests; both are kept between test runs."""

import functools
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from crewship.engine.containers import DockerExecutor
from crewship.engine.docker_engine import Engine
from crewship.engine.executor import BuildOrder
from crewship.engine.images import DockerBuilder

_SCRIPT = Path(__file__).parent.parent / "scripts" / "docker-for-tests"


@functools.cache
def _asked() -> subprocess.CompletedProcess[str]:
    """What the script said, whether it could or not: an engine that does not come up is waited for once."""
    return subprocess.run([_SCRIPT], stdout=subprocess.PIPE, check=False, text=True, timeout=240)


def engine_and_base() -> tuple[str, str]:
    """The engine's URL and the name of a base image with Python 3.11, started and made where they are not there."""
    ended = _asked()
    ended.check_returncode()
    url, image = ended.stdout.split()
    return url, image


@functools.cache
def node_base() -> str:
    """The name of a base image with a Node and without a Python."""
    ended = subprocess.run([_SCRIPT, "--node"], stdout=subprocess.PIPE, check=True, text=True, timeout=900)
    return ended.stdout.split()[2]


def docker(*arguments: str) -> str:
    """What the docker command says, asked of the tests' engine."""
    command = ["docker", "--host", engine_and_base()[0], *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=120).stdout


def left_with(label: str) -> list[str]:
    """The containers with that label that stay: a run's is removed when its end is on record, which takes a moment."""
    deadline = time.monotonic() + 30
    while found := docker("ps", "--all", "--quiet", "--filter", f"label={label}").split():
        if time.monotonic() > deadline:
            return found
        time.sleep(0.1)
    return []


class Server:
    """What a server has of Docker: an engine, a builder, an executor, over the folder `data`."""

    def __init__(self, data: Path, server_id: str, *, url: str | None = None, **more: Any) -> None:
        own, image = engine_and_base()
        given = {name: more.pop(name) for name in ("environ", "node_images") if name in more}
        self.id = server_id
        self.engine = Engine(url or own)
        self.builder = DockerBuilder(self.engine, data, server_id, base_images={("slim", "3.11"): image}, **given)
        self.executor = DockerExecutor(self.engine, self.builder, data, server_id, **{"prove": False, **more})

    async def build(self, order: BuildOrder) -> list[str]:
        """Build the version; what the build said."""
        return [line async for line in self.builder.build(order)]

    def left(self) -> list[str]:
        """Containers and volumes of this server that are there."""
        label = f"label=crewship.server_id={self.id}"
        containers = docker("ps", "--all", "--quiet", "--filter", label).split()
        return containers + docker("volume", "ls", "--quiet", "--filter", label).split()

    def images(self, kind: str) -> list[dict[str, Any]]:
        """The images of that kind, as `docker inspect` shows them."""
        filters = [f"--filter=label=crewship.server_id={self.id}", f"--filter=label=crewship.kind={kind}"]
        found = docker("images", "--quiet", *filters).split()
        inspected: list[dict[str, Any]] = json.loads(docker("inspect", *found)) if found else []
        return inspected


@asynccontextmanager
async def opened(data: Path, server_id: str, **more: Any) -> AsyncIterator[Server]:
    """A server whose runs are removed in the end; fails if anything of it is left then. Images and networks stay."""
    server = Server(data, server_id, **more)
    await server.executor.open()
    try:
        yield server
    finally:
        await server.engine.open()  # which a test may have closed
        for run_id in await server.executor.held():
            if (sandbox := await server.executor.find(run_id)) is not None:
                await sandbox.remove()
        left = server.left()
        await server.executor.close()
    assert left == []
