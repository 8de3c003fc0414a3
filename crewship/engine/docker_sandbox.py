"""One run's container, alive or ended."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from crewship.engine import docker_artifacts, docker_journal, docker_state, folders
from crewship.engine.docker_engine import Engine, EngineAway, EngineProblem, EngineRefused
from crewship.engine.docker_journal import JournalReader
from crewship.engine.executor import ArtifactFile, Refused

_PATIENCE = 10.0  # seconds that a container may take to fall apart once it has nothing more to do
_REMOVING = (0.5, 2.0, 0.0)  # seconds after each try
_MEMORY = {"reason": "out_of_memory", "message": "the run used up its memory"}

logger = structlog.get_logger(__name__)


class DockerSandbox:
    """See Sandbox. `container` is its id; files that it left come into `folder`."""

    def __init__(self, engine: Engine, run_id: str, container: str, folder: Path) -> None:
        self.run_id = run_id
        self.container = container
        self._engine = engine
        self._folder = folder

    async def lines(self, after: int) -> AsyncGenerator[Sequence[bytes], None]:
        """See Sandbox.lines. An engine that is away is waited for, up to docker_journal.AWAY_SECONDS."""
        reader = JournalReader(self._engine, self.container, after)
        async with contextlib.aclosing(reader.lines()) as batches:
            async for batch in batches:
                yield [*batch[:-1], await self._explained(batch[-1])]
        if not reader.exited and (last := await self._last_words(reader.last)):
            yield [last]

    async def _explained(self, line: bytes) -> bytes:
        """The line; if it is the exit line of what the kernel ended for its memory, with that reason in it.

        The guard sees that its child was killed, but not by whom.
        """
        if b'"exit"' not in line:
            return line
        try:
            told: Any = msgspec.json.decode(line)
        except msgspec.MsgspecError:
            return line
        if not isinstance(told, dict) or told.get("type") != "exit" or told.get("reason") or told.get("code") == 0:
            return line
        with contextlib.suppress(EngineProblem):
            found = await self._settled()
            if found and found.out_of_memory:
                return msgspec.json.encode({**told, **_MEMORY})
        return line

    async def _last_words(self, number: int) -> bytes | None:
        """The exit line that the guard would have written, had the kernel not ended it for the run's memory."""
        with contextlib.suppress(EngineProblem):
            found = await docker_state.state(self._engine, self.container)
            if found and found.out_of_memory and not found.running:
                words = {"code": None, "signal": 9, "lost_logs": 0, **_MEMORY}
                at = found.finished_at[:23].rstrip("Z") + "Z"
                return msgspec.json.encode({"n": number + 1, "at": at, "type": "exit", **words})
        return None

    async def stop(self) -> None:
        """See Sandbox.stop. To the first process, the guard, SIGTERM says just that."""
        await self._signal("SIGTERM")

    async def kill(self) -> None:
        """See Sandbox.kill."""
        await self._signal("SIGKILL")
        await self._settled()

    async def _signal(self, name: str) -> None:
        """Send a signal to the first process; an engine that is away is waited for. Raises EngineProblem."""
        deadline = asyncio.get_running_loop().time() + docker_journal.AWAY_SECONDS
        while True:
            try:
                await self._engine.json("POST", f"containers/{self.container}/kill", query={"signal": name})
                return
            except EngineRefused as refused:
                if refused.status not in (404, 409):  # gone, or not running
                    raise
                return
            except EngineAway:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(1)

    async def _settled(self) -> docker_state.State | None:
        """The container's state once it has ended; it is made to when it does not. None if it is gone."""
        try:
            path = f"containers/{self.container}/wait"
            await self._engine.json("POST", path, query={"condition": "not-running"}, seconds=_PATIENCE)
        except EngineRefused as refused:
            if refused.status != 404:
                raise
        except EngineAway:
            await self._signal("SIGKILL")
        return await docker_state.state(self._engine, self.container)

    async def artifacts(self) -> tuple[list[ArtifactFile], list[Refused]]:
        """See Sandbox.artifacts. The files stay until `remove`, or until they are asked for again."""
        await asyncio.to_thread(folders.remove, self._folder)
        if await self._settled() is None:
            return [], [Refused(name=folders.ARTIFACTS, why="the run's container is gone, and its files with it")]
        return await docker_artifacts.collect(self._engine, self.container, self._folder)

    async def remove(self) -> None:
        """See Sandbox.remove. Where the engine is away, the next server's start sees to it."""
        await asyncio.to_thread(folders.remove, self._folder)
        for pause in _REMOVING:
            try:
                await docker_state.discard(self._engine, self.container)
                return
            except EngineProblem as problem:
                logger.warning("a run's container could not be removed yet", run_id=self.run_id, problem=str(problem))
                await asyncio.sleep(pause)
