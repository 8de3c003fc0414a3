"""Steps that cannot be interrupted half way: one that is cancelled ends first, then is undone."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from crewship.engine.executor import LaunchFailed

T = TypeVar("T")


async def undone(step: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[None]]) -> T:
    """What the step gives. If this is cancelled, the step goes on to its end, and `undo` gets what it gave."""
    under_way = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        with contextlib.suppress(LaunchFailed, asyncio.CancelledError):
            await undo(await under_way)
        raise
