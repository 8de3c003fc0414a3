"""A run's journal in the log that the engine keeps of its container (json-file).

The engine cuts what the guard writes into pieces of 16 KiB and gives them back one by one, each in a frame; the newline
stands on the last piece of a line. Whatever the cuts, the pieces joined are the journal.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

import msgspec
import structlog

from crewship.engine.docker_engine import Engine, EngineProblem, EngineRefused, frames
from crewship.engine.docker_state import State, state

AWAY_SECONDS = 600.0  # how long an engine may be away (restarted, upgraded) before its runs count as lost
_PAUSE = 0.2  # seconds before the first try to reach it again; doubled each time
_LONGEST_PAUSE = 5.0

logger = structlog.get_logger(__name__)


class _Line(msgspec.Struct):
    """What the reader needs to know of a line."""

    n: int = 0
    type: str = ""


_line = msgspec.json.Decoder(_Line)


class JournalReader:
    """Reads one container's journal to its end. `last` is the highest number seen; `exited`: the exit line was."""

    def __init__(self, engine: Engine, container: str, after: int) -> None:
        self._engine, self._container = engine, container
        self.last = after
        self.exited = False
        self._away_since: float | None = None

    async def lines(self) -> AsyncGenerator[Sequence[bytes], None]:
        """The lines numbered above `after`, in order; ends with the exit line, or when no more will ever come.

        An engine that is away for a while is waited for, and read again from the beginning behind the last line.
        """
        while not self.exited:
            ended = await self._ended()
            follow = ended is None or not ended
            try:
                async with contextlib.aclosing(self._read(follow=follow)) as batches:
                    async for batch in batches:
                        yield batch
            except EngineProblem as problem:
                if isinstance(problem, EngineRefused) and problem.status == 404:  # there is no such container any more
                    return
                if not await self._patience(problem):
                    return
                continue
            # What ended by itself is read once more without following: a log that is followed may lack its end.
            if not follow:
                return
            if not self.exited:
                await asyncio.sleep(_PAUSE)  # an engine that is about to go lets go of its readers first

    async def _ended(self) -> bool | None:
        """Whether the container has ended; None if the engine does not say."""
        try:
            found: State | None = await state(self._engine, self._container)
        except EngineProblem:
            return None
        self._away_since = None
        return found is None or not found.running

    async def _read(self, *, follow: bool) -> AsyncGenerator[list[bytes], None]:
        query = {"follow": follow, "stdout": True, "stderr": False}
        held: list[bytes] = []
        async with self._engine.stream(f"containers/{self._container}/logs", query) as pieces:
            async for batch in frames(pieces):
                complete = _joined(held, [data for stream, data in batch if stream == 1])
                if wanted := self._above(complete):
                    yield wanted
                if self.exited:
                    return

    def _above(self, lines: list[bytes]) -> list[bytes]:
        wanted = []
        for raw in lines:
            try:
                line = _line.decode(raw)
            except msgspec.MsgspecError:
                line = _Line()  # never from the guard; the reader of the protocol says what it is
            if line.n == 0 or line.n > self.last:
                wanted.append(raw)
                self.last = max(self.last, line.n)
            if line.type == "exit":
                self.exited = True
                break
        return wanted

    async def _patience(self, problem: EngineProblem) -> bool:
        """Wait before another try; False once the engine was away for too long."""
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
            logger.warning("the Docker engine is away, its runs are waited for", problem=str(problem))
        away = now - self._away_since
        if away > AWAY_SECONDS:
            return False
        await asyncio.sleep(min(max(_PAUSE, away), _LONGEST_PAUSE))
        return True


def _joined(held: list[bytes], pieces: list[bytes]) -> list[bytes]:
    """The lines that these pieces complete; what is left of the last one stays in `held`."""
    data = b"".join(pieces)
    *complete, rest = data.split(b"\n")
    if complete:
        complete[0] = b"".join([*held, complete[0]])
        held.clear()
    if rest:
        held.append(rest)
    return complete
