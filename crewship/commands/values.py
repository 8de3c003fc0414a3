"""Values that may be too large for an event."""

from typing import Any

import msgspec

from crewship.blobs import BlobStore
from domain.output import Stored

LARGEST_IN_EVENT = 256 * 1024
PREVIEW_CHARACTERS = 1024


async def keep(blobs: BlobStore, value: Any) -> tuple[Any, Stored | None]:
    """The value as an event holds it: itself, or None and where its JSON lies if that is over 256 KiB."""
    encoded = msgspec.json.encode(value)
    if len(encoded) <= LARGEST_IN_EVENT:
        return value, None
    blob = await blobs.put(encoded)
    preview = encoded[: PREVIEW_CHARACTERS * 4].decode(errors="ignore")[:PREVIEW_CHARACTERS]
    return None, Stored(sha256=blob.sha256, size=blob.size, preview=preview)
