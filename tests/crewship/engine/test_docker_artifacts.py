"""What is taken from a tar of artifacts, as an engine might send it, and what is not."""

import io
import tarfile
from contextlib import asynccontextmanager

import pytest

from crewship.engine import docker_artifacts, folders
from crewship.engine.docker_engine import EngineAway, EngineRefused


class Sends:
    """Stands for an engine that sends these bytes, or refuses."""

    def __init__(self, data: bytes = b"", refusal: EngineRefused | None = None) -> None:
        self._data, self._refusal = data, refusal

    @asynccontextmanager
    async def stream(self, path, query):
        if self._refusal is not None:
            raise self._refusal

        async def pieces():
            for start in range(0, len(self._data), 700):
                yield self._data[start : start + 700]

        yield pieces()


def entry(name, content=b"", kind=tarfile.REGTYPE, link="", size=None):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    member.size = len(content) if size is None else size
    return member, content


def packed(*entries) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, content in (entry("artifacts", kind=tarfile.DIRTYPE), *entries):
            tar.addfile(member, io.BytesIO(content) if content else None)
    return buffer.getvalue()


async def collect(tmp_path, data):
    return await docker_artifacts.collect(Sends(data), "c", tmp_path / "files")


async def test_files_come_with_their_content_in_the_order_of_their_names(tmp_path):
    data = packed(entry("artifacts/b", b"2" * 5000), entry("artifacts/a/c", b"1"))
    files, refused = await collect(tmp_path, data)
    assert [(file.name, file.path.read_bytes()) for file in files] == [("a/c", b"1"), ("b", b"2" * 5000)]
    assert refused == []


async def test_a_second_name_of_a_collected_file_is_collected_and_any_other_is_not(tmp_path):
    data = packed(
        entry("artifacts/a", b"one"),
        entry("artifacts/b", kind=tarfile.LNKTYPE, link="artifacts/a"),
        entry("artifacts/c", kind=tarfile.LNKTYPE, link="../../etc/passwd"),
    )
    files, refused = await collect(tmp_path, data)
    assert [(file.name, file.path.read_bytes()) for file in files] == [("a", b"one"), ("b", b"one")]
    assert [entry.name for entry in refused] == ["c"]


async def test_links_and_devices_are_refused(tmp_path):
    data = packed(
        entry("artifacts/link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        entry("artifacts/disk", kind=tarfile.BLKTYPE),
        entry("artifacts/pipe", kind=tarfile.FIFOTYPE),
    )
    files, refused = await collect(tmp_path, data)
    assert files == []
    assert [(entry.name, entry.why) for entry in refused] == [
        ("disk", "not a plain file"),
        ("link", "a link"),
        ("pipe", "not a plain file"),
    ]


async def test_names_never_decide_where_a_file_is_put(tmp_path):
    data = packed(entry("artifacts/../../up", b"x"), entry("artifacts//etc/abs", b"y"), entry("artifacts/a/b", b"z"))
    files, refused = await collect(tmp_path, data)
    assert [(file.name, file.path.parent) for file in files] == [("a/b", tmp_path / "files")]
    assert [entry.name for entry in refused] == ["../../up", "/etc/abs"]


async def test_too_many_files_and_too_many_bytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MAXIMUM_FILES", 2)
    monkeypatch.setattr(folders, "MAXIMUM_BYTES", 100)
    large = [entry("artifacts/1", b"x" * 60), entry("artifacts/2", b"x" * 60), entry("artifacts/3", b"x" * 10)]
    files, refused = await collect(tmp_path, packed(*large, entry("artifacts/4", b"x")))
    assert [file.name for file in files] == ["1", "3"]
    assert [entry.name for entry in refused] == ["2", "4"]


async def test_a_file_that_pretends_to_be_endless_is_not_read_through(tmp_path):
    data = packed(entry("artifacts/a", b"good"))[:1536]  # two headers, one block of content
    data += entry("artifacts/b", size=1 << 50)[0].tobuf(tarfile.GNU_FORMAT) + bytes(2048)
    files, refused = await collect(tmp_path, data)
    assert [file.name for file in files] == ["a"]
    assert sorted(entry.name for entry in refused) == ["b", "…"]


async def test_an_archive_that_breaks_off_gives_what_came_before(tmp_path):
    data = packed(entry("artifacts/a", b"good"), entry("artifacts/b", b"z" * 9000))
    files, refused = await collect(tmp_path, data[:4000])
    assert [file.name for file in files] == ["a"]
    assert [entry.name for entry in refused] == ["…"]


async def test_a_folder_that_is_gone_is_refused_and_an_engine_that_fails_is_told(tmp_path):
    gone = Sends(refusal=EngineRefused(404, "no such file"))
    assert [entry.name for entry in (await docker_artifacts.collect(gone, "c", tmp_path / "x"))[1]] == ["artifacts"]
    with pytest.raises(EngineAway):
        await docker_artifacts.collect(Sends(refusal=EngineRefused(500, "broken")), "c", tmp_path / "y")
