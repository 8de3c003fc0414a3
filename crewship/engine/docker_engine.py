"""The Docker engine as this server talks to it: every call bounded in time, every failure one of two kinds."""

import asyncio
import contextlib
import io
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiodocker
from aiodocker.exceptions import DockerError

SECONDS = 60.0  # what an ordinary call may take; a busy engine needs seconds to create a container
_HEADER = struct.Struct(">BxxxL")  # of a frame: stream (1 stdout, 2 stderr), length of what follows


class EngineProblem(OSError):
    """Something that was asked of the engine did not come about."""


class EngineAway(EngineProblem):
    """The engine does not answer, or broke off; what was asked may have happened or not."""


class EngineRefused(EngineProblem):
    """The engine answered that it does not do this; `status` is HTTP's (404: no such thing, 409: not as it stands)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Engine:
    """A connection to an engine at `url` (None: DOCKER_HOST, else the usual socket); `open` first."""

    def __init__(self, url: str | None = None) -> None:
        self._url = url
        self._client: aiodocker.Docker | None = None

    async def open(self) -> dict[str, Any]:
        """Connect; what the engine says about itself (`GET /info`). Raises EngineAway."""
        if self._client is None:
            try:
                self._client = aiodocker.Docker(url=self._url)
            except (AssertionError, ValueError, OSError) as problem:
                raise EngineAway(f"no Docker engine: {problem or 'there is no socket of one'}") from problem
        info: dict[str, Any] = await self.json("GET", "info")
        return info

    async def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    @property
    def local_socket(self) -> bool:
        """Whether the engine is reached by a socket of this machine, so that both see the same files and networks."""
        by_ssh = (self._url or "").startswith("ssh:")
        return self._client is not None and self._client.docker_host.startswith("unix:") and not by_ssh

    async def json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        data: bytes | None = None,
        seconds: float = SECONDS,
    ) -> Any:
        """Ask, with `body` as JSON or `data` as it is; the answer's JSON (None without one, of several the last).

        Raises EngineAway, also after so many seconds, and EngineRefused.
        """
        sent = data if body is None else json.dumps(body)
        kind = None if data is None else "application/x-tar"
        with _told_apart():
            async with asyncio.timeout(seconds):
                response = await self._ask(method, path, query, sent, kind)
                try:
                    text = await response.read()
                finally:
                    response.close()
        return _read(text.strip())

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, Any] | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """GET what the engine sends for as long as it takes, in pieces. Raises EngineAway, while reading too."""
        with _told_apart():
            async with asyncio.timeout(SECONDS):
                response = await self._ask("GET", path, query)
        try:
            yield _pieces(response)
        finally:
            response.close()

    async def _ask(self, method: str, path: str, query: Any, sent: str | bytes | None = None, kind: Any = None) -> Any:
        if self._client is None:
            raise EngineAway("the connection to the Docker engine is closed")
        params = {name: _parameter(value) for name, value in (query or {}).items()}
        headers = {"Content-Type": kind or "application/json"}
        data = io.BytesIO(sent) if isinstance(sent, bytes) else sent  # sent in pieces, however large it is
        return await self._client._do_query(path, method, params=params, data=data, headers=headers)

    @asynccontextmanager
    async def fed(self, container: str, data: bytes) -> AsyncIterator[None]:
        """Attach to the container's standard input; behind the block, in which it is started, write `data`, close."""
        given = await self.attached(container)
        try:
            yield
            await given.write(data)
        finally:
            await given.close()

    async def attached(self, container: str) -> "Input":
        """The container's standard input, from before it is started on. Raises EngineAway."""
        if self._client is None:
            raise EngineAway("the connection to the Docker engine is closed")
        attached = self._client.containers.container(container).attach(stdin=True, stdout=False, stderr=False)
        with _told_apart():
            async with asyncio.timeout(SECONDS):
                await attached.__aenter__()
        return Input(attached)


class Input:
    """A container's standard input, as long as the connection stands: with it, the input ends."""

    def __init__(self, attached: Any) -> None:
        self._attached = attached

    async def write(self, data: bytes) -> None:
        """Hand over all of it. Raises EngineAway."""
        try:
            with _told_apart():
                async with asyncio.timeout(SECONDS):
                    await self._attached.write_in(data)
        except AssertionError as problem:  # aiodocker's word for a connection that the engine closed
            raise EngineAway("the Docker engine closed the container's standard input") from problem

    async def close(self) -> None:
        """End it."""
        with contextlib.suppress(AssertionError):
            await self._attached.close()


def _read(text: bytes) -> Any:
    if not text.startswith((b"{", b"[")):
        return None
    try:
        return json.loads(text)
    except ValueError:  # notes about progress, one a line
        return json.loads(text.splitlines()[-1])


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else json.dumps(value)


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Whatever a call raises becomes one of the two kinds."""
    try:
        yield
    except DockerError as problem:
        if problem.status == 900:  # aiodocker's own number for "cannot connect"
            raise EngineAway(problem.message) from problem
        raise EngineRefused(problem.status, problem.message) from problem
    except TimeoutError as problem:
        raise EngineAway("the Docker engine took too long to answer") from problem
    except EngineProblem:
        raise
    except Exception as problem:
        # aiohttp's errors, which belong to the API's layer: told by where they come from.
        if type(problem).__module__.partition(".")[0] == "aiohttp" or isinstance(problem, OSError):
            raise EngineAway(f"the Docker engine broke off: {problem}") from problem
        raise


async def _pieces(response: Any) -> AsyncGenerator[bytes, None]:
    with _told_apart():
        async for piece in response.content.iter_any():
            yield piece


async def frames(pieces: AsyncIterator[bytes]) -> AsyncGenerator[list[tuple[int, bytes]], None]:
    """The (stream, bytes) pairs of a log or an attached container, as many at a time as are there."""
    held = b""
    async for piece in pieces:
        held += piece
        found, at = [], 0
        while len(held) - at >= _HEADER.size:
            stream, length = _HEADER.unpack_from(held, at)
            if len(held) - at - _HEADER.size < length:
                break
            found.append((stream, held[at + _HEADER.size : at + _HEADER.size + length]))
            at += _HEADER.size + length
        held = held[at:]
        if found:
            yield found


def named(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")
