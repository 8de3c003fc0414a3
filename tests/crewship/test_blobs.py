"""Content-addressed files."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crewship.blobs import Blob, BlobStore
from domain.errors import TooLarge


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    store = BlobStore(tmp_path / "blobs")
    store.open()
    return store


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def left_over(blobs: BlobStore) -> list[Path]:
    return list(blobs._incoming.iterdir())


async def test_a_blob_is_found_by_the_hash_of_its_bytes(blobs: BlobStore, tmp_path: Path):
    expected = Blob(hashlib.sha256(b"hello").hexdigest(), 5)
    (tmp_path / "file").write_bytes(b"hello")
    assert await blobs.put(b"hello") == expected
    assert await blobs.put_file(tmp_path / "file") == expected
    assert await blobs.put_stream(pieces(b"he", b"", b"llo"), limit=5) == expected
    assert await blobs.load(expected.sha256) == b"hello"
    assert left_over(blobs) == []


async def test_too_large_a_stream_is_refused_and_leaves_nothing(blobs: BlobStore):
    with pytest.raises(TooLarge):
        await blobs.put_stream(pieces(b"x" * 600, b"x" * 600), limit=1000)
    assert left_over(blobs) == []


async def test_a_stream_that_breaks_leaves_nothing(blobs: BlobStore):
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blobs.put_stream(broken(), limit=1000)
    assert left_over(blobs) == []


async def test_a_link_is_not_followed(blobs: BlobStore, tmp_path: Path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        await blobs.put_file(tmp_path / "link")


async def test_what_a_crash_left_half_written_is_cleared_away(blobs: BlobStore):
    (blobs._incoming / "half").write_bytes(b"x")
    blobs.open()
    assert left_over(blobs) == []
