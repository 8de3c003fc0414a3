"""A version that this server has not, though it was built once: on another machine, or in folders that are lost."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

import structlog

from crewship.engine.executor import BuildFailed, BuildOrder, LaunchFailed

logger = structlog.get_logger(__name__)


class Rebuilder(Protocol):
    """A builder, as far as it builds what was built before."""

    def build(self, order: BuildOrder) -> AsyncGenerator[str, None]:
        """See Builder.build."""
        ...


class Rebuilding:
    """Builds again, one version at a time, what is asked for and not there."""

    def __init__(self, builder: Rebuilder, there: Callable[[BuildOrder], Awaitable[bool]]) -> None:
        self._builder = builder
        self._there = there
        self._turn = asyncio.Lock()

    async def ensure(self, order: BuildOrder) -> None:
        """Return once the version can be started here; raises LaunchFailed if it cannot be built any more."""
        if await self._there(order):
            return
        async with self._turn:
            if await self._there(order):  # whoever had the turn before has built it
                return
            logger.info("a version is not here; building it again", version_id=order.version_id)
            try:
                async with contextlib.aclosing(self._builder.build(order)) as lines:
                    async for _ in lines:
                        pass
            except (BuildFailed, OSError) as failure:
                message = f"version {order.version_id} was not built on this server, and cannot be built again"
                raise LaunchFailed(f"{message}: {failure}") from failure
