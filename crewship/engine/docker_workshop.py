"""A container in which a part of an image is made: files go in, steps run, what changed becomes the next image.

What the steps need to know (package indexes with their passwords, proxies) travels over standard input and what they
read of the operator's (CA bundles, folders of wheels) is mounted, so that neither stands in a container's or an image's
configuration, nor in a layer.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from crewship.engine import docker_state
from crewship.engine.builds import MAXIMUM_LINE, Transcript
from crewship.engine.docker_engine import Engine, EngineProblem, EngineRefused, frames
from crewship.engine.docker_tar import Packed
from crewship.engine.executor import BuildFailed

# Places of a build that no image keeps.
SOURCE, TEMPORARY, CACHE = "/source", "/tmp", "/cache"  # noqa: S108 - places inside
UV = f"{TEMPORARY}/.uv"

_MEMORY = 4 * 1024 * 1024 * 1024
_PROCESSES = 2048
_MISSING = 97  # exit status: the steps went well, but a package that must be there is not

# The first process of the container, run by a Python. It is given {"steps", "env", "directory", "require"} and says
# nothing itself.
PROGRAM = f"""
import glob, json, subprocess, sys
order = json.load(sys.stdin)
for step in order["steps"]:
    ended = subprocess.run(step, env=order["env"], cwd=order["directory"], stdin=subprocess.DEVNULL, stderr=1)
    if ended.returncode:
        sys.exit(ended.returncode if 0 < ended.returncode < 126 else 1)
if order["require"] and not glob.glob("/venv/lib/python*/site-packages/%s-*.dist-info" % order["require"]):
    sys.exit({_MISSING})
"""


class Missing(Exception):
    """The package that must be there is not among what was installed."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: programs with their arguments, one after the other; their environment; a package required then."""

    steps: list[list[str]]
    env: dict[str, str]
    require: str = ""
    directory: str = SOURCE


class Workshop:
    """One container from `image`; whoever opens it closes it, whatever happens."""

    def __init__(self, engine: Engine, image: str, labels: Mapping[str, str]) -> None:
        self._engine, self._image, self._labels = engine, image, dict(labels)
        self.name = f"crewship-build-{secrets.token_hex(8)}"
        self._transcript = Transcript()
        self._making: asyncio.Future[Any] | None = None

    async def open(
        self,
        *,
        identity: int,
        network: str = "none",
        program: Sequence[str] = ("python3", "-I", "-S", "-c", PROGRAM),
        reads: Mapping[Path, str] | None = None,
    ) -> None:
        """Create it, not started. The steps will be the user `identity`; `reads` are files of the host, by place."""
        config = self._configuration(identity, network, program, reads or {})
        # Broken off, the call might still be done: so it is not, and `close` waits for it.
        query = {"name": self.name}
        self._making = asyncio.ensure_future(self._engine.json("POST", "containers/create", query=query, body=config))
        try:
            await asyncio.shield(self._making)
        except EngineRefused as refused:
            raise BuildFailed(f"the engine makes no container for the build: {refused}") from refused

    def _configuration(
        self, identity: int, network: str, program: Sequence[str], reads: Mapping[Path, str]
    ) -> dict[str, Any]:
        labels = {**self._labels, docker_state.KIND: "build"}
        volume: dict[str, Any] = {"Type": "volume", "VolumeOptions": {"Labels": labels}}
        file: dict[str, Any] = {"Type": "bind", "ReadOnly": True}
        mounts = [{**volume, "Target": place} for place in (SOURCE, TEMPORARY, CACHE)]
        mounts += [{**file, "Source": str(path), "Target": place} for path, place in reads.items()]
        return {
            "Image": self._image,
            "Entrypoint": list(program),
            "Cmd": [],
            "User": f"{identity}:{identity}",
            "WorkingDir": "/",
            "OpenStdin": True,
            "StdinOnce": True,
            "Labels": labels,
            "HostConfig": {
                "Mounts": mounts,
                "NetworkMode": network,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges:true"],
                "Memory": _MEMORY,
                "MemorySwap": _MEMORY,
                "PidsLimit": _PROCESSES,
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "64m", "max-file": "1", "compress": "false"}},
            },
        }

    async def put(self, packed: Packed) -> None:
        """Unpack files and folders into it, from `/` on."""
        await self.put_tar(await asyncio.to_thread(packed.bytes), "/")

    async def put_tar(self, data: bytes, place: str) -> None:
        """Unpack a tar below a folder of it."""
        path = f"containers/{self.name}/archive"
        await self._engine.json("PUT", path, query={"path": place, "noOverwriteDirNonDir": "1"}, data=data, seconds=300)

    async def take(self, place: str) -> bytes:
        """A folder of it as a tar, in memory."""
        async with self._engine.stream(f"containers/{self.name}/archive", {"path": place}) as pieces:
            return b"".join([piece async for piece in pieces])

    async def run(self, work: Work | None, deadline: float) -> AsyncGenerator[str, None]:
        """Start it and yield what it says until it ends. Raises BuildFailed with the last error, or Missing."""
        given = b"" if work is None else msgspec.json.encode(work)
        self._transcript.begin()
        try:
            async with asyncio.timeout_at(deadline):
                async with self._engine.fed(self.name, given):
                    await self._engine.json("POST", f"containers/{self.name}/start")
                async with contextlib.aclosing(self._said()) as lines:
                    async for line in lines:
                        yield line
                ended = await self._engine.json("POST", f"containers/{self.name}/wait")
        except TimeoutError:
            raise BuildFailed("the build took too long and was ended") from None
        except EngineProblem as problem:
            raise BuildFailed(f"the Docker engine did not see the build through: {problem}") from problem
        await self._judge(int(ended["StatusCode"]))

    async def _judge(self, status: int) -> None:
        if status == _MISSING:
            raise Missing
        if status != 0:
            found = await docker_state.state(self._engine, self.name)
            memory = f"the build used up its memory ({_MEMORY >> 30} GiB)"
            reason = memory if found and found.out_of_memory else self._transcript.reason()
            raise BuildFailed(reason or f"the build ended with status {status}")

    async def _said(self) -> AsyncGenerator[str, None]:
        query = {"follow": True, "stdout": True, "stderr": True}
        rest = ""
        async with self._engine.stream(f"containers/{self.name}/logs", query) as pieces:
            async for batch in frames(pieces):
                text = rest + b"".join(data for _, data in batch).decode(errors="replace")
                *complete, rest = text.split("\n")
                rest = rest[:MAXIMUM_LINE]
                for raw in complete:
                    if line := self._transcript.said(raw):
                        yield line
        if rest and (line := self._transcript.said(rest)):
            yield line

    async def holds(self, path: str) -> bool:
        """Whether something lies at that place."""
        try:
            async with self._engine.stream(f"containers/{self.name}/archive", {"path": path}):
                return True  # nobody reads what would come
        except EngineRefused as refused:
            if refused.status == 404:
                return False
            raise

    async def commit(self, name: str, labels: Mapping[str, str], config: Mapping[str, Any] | None = None) -> None:
        """Let what it is now be the image `name` (`repository:tag`) with these labels."""
        repository, _, tag = name.rpartition(":")
        query = {"container": self.name, "repo": repository, "tag": tag, "pause": False}
        body = {"Labels": {**self._labels, **labels}, "OpenStdin": False, "StdinOnce": False, **(config or {})}
        await self._engine.json("POST", "commit", query=query, body=body, seconds=300)

    async def close(self) -> None:
        """End and remove it, with all that no image keeps."""
        if self._making is not None:
            await asyncio.gather(self._making, return_exceptions=True)
            await docker_state.discard(self._engine, self.name)
