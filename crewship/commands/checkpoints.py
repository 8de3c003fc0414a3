"""A thread's checkpoints as its own runs take them in: opaque bytes, which only a project's code can read."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from crewship.blobs import BlobStore
from domain.thread import Memory, Saved

PAGE_BYTES = 16 * 1024 * 1024
"""About how much of them is handed out at once; one checkpoint always is."""


class Page(msgspec.Struct, frozen=True):
    """Some checkpoints, the latest first. `more` says whether older ones follow behind the last of them."""

    checkpoints: list[dict[str, Any]]
    more: bool


async def pack(blobs: BlobStore, memory: Memory, saved: Saved) -> dict[str, Any]:
    """One checkpoint as a spec holds it (see crewship_runner/guard/spec.py)."""
    channels = {
        name: {"version": channel.version, "data": await _text(blobs, channel.sha256)}
        for name, channel in saved.channels.items()
    }
    # An answer that a failed run was given is forgotten with it: it will be asked for again.
    kept = [write for write in saved.writes if write.run_id in memory.good]
    writes = [msgspec.json.decode(await blobs.load(write.sha256)) for write in kept]
    return {
        "ns": saved.ns,
        "checkpoint_id": saved.checkpoint_id,
        "parent_id": saved.parent_id,
        "data": await _text(blobs, saved.sha256),
        "channels": channels,
        "writes": writes,
    }


async def page(
    blobs: BlobStore,
    memory: Memory,
    *,
    limit: int,
    most_bytes: int = PAGE_BYTES,
    ns: str | None = None,
    checkpoint_id: str | None = None,
    before: str | None = None,
) -> Page:
    """The latest checkpoints of a graph (of its namespace `ns`, or of all), of that id, from behind `before` on."""
    packed: list[dict[str, Any]] = []
    size = 0
    for saved in _wanted(memory, ns, checkpoint_id, before):
        if len(packed) >= limit or size >= most_bytes:
            return Page(packed, more=True)
        one = await pack(blobs, memory, saved)
        size += len(msgspec.json.encode(one))
        if packed and size > most_bytes:
            return Page(packed, more=True)
        packed.append(one)
    return Page(packed, more=False)


def _wanted(memory: Memory, ns: str | None, checkpoint_id: str | None, before: str | None) -> Iterator[Saved]:
    behind = before is None
    for saved in reversed(memory.saved.values()):
        if behind and ns in (None, saved.ns) and checkpoint_id in (None, saved.checkpoint_id):
            yield saved
        behind = behind or saved.checkpoint_id == before


async def _text(blobs: BlobStore, sha256: str) -> str:
    return base64.b64encode(await blobs.load(sha256)).decode()
