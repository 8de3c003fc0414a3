"""Taking what has gathered, instead of one thing at a time or on a timer."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def gathered(source: AsyncIterator[T], most: int, ahead: int) -> AsyncIterator[list[T]]:
    """Lists of at most `most` of what the source has given since the last one was taken.

    The source is read at most `ahead` things in advance. What it raises is raised after what it gave before.
    """
    queue: asyncio.Queue[T] = asyncio.Queue(maxsize=ahead)
    reader = asyncio.create_task(_fill(source, queue))
    try:
        while True:
            first = asyncio.create_task(queue.get())
            await asyncio.wait({first, reader}, return_when=asyncio.FIRST_COMPLETED)
            if not first.done():
                first.cancel()
                if queue.empty():
                    break
                continue
            batch = [first.result()]
            while len(batch) < most and not queue.empty():
                batch.append(queue.get_nowait())
            yield batch
        await reader
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _fill(source: AsyncIterator[T], queue: "asyncio.Queue[T]") -> None:
    async for thing in source:
        await queue.put(thing)
