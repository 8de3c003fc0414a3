"""Snapshots: what is taken, and what is refused before it can do harm."""

import contextlib
import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crewship.engine import snapshots
from domain.errors import BadRequest, DomainError, TooLarge


def entry(name: str, content: bytes | None = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes | None]:
    """An entry of an archive; None as content makes it a folder."""
    member = tarfile.TarInfo(name)
    member.size = len(content or b"")
    member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def archive(path: Path, *entries: tuple[tarfile.TarInfo, bytes | None], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w:gz", format=form, compresslevel=1) as packed:
        for member, content in entries:
            packed.addfile(member, io.BytesIO(content) if content and member.size == len(content) else None)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "snapshot.tar.gz"


def test_files_are_counted_and_the_manifest_is_read(path):
    archive(path, entry(".", None), entry("./crewship.toml", b"[deployment]\n"), entry("a/b.py", b"xyz"))
    info = snapshots.check(path)
    assert info == snapshots.SnapshotInfo(files=2, bytes=16, manifest="[deployment]\n")


def test_a_manifest_below_a_folder_is_not_the_manifest(path):
    assert snapshots.check(archive(path, entry("a/crewship.toml", b"x"))).manifest is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("../x", "upwards"),
        ("a/../../x", "upwards"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("a\x85b", "control"),
        ("x" * 300, "too long"),
        ("/".join(["abcdefg"] * 140), "too long"),
        ("\udcff", "UTF-8"),
    ],
)
def test_a_harmful_name_is_refused(path, name, why):
    form = tarfile.GNU_FORMAT if "\udcff" in name else tarfile.PAX_FORMAT
    with pytest.raises(BadRequest, match=why) as refusal:
        snapshots.check(archive(path, entry("good"), entry(name), form=form))
    assert ascii(name)[1:20] in refusal.value.message


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.FIFOTYPE, "a FIFO"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.CONTTYPE, "not a plain file"),
        (b"S", "not a plain file|readable"),
        (b"Z", "not a plain file"),
    ],
)
def test_what_is_no_plain_file_is_refused_by_name(path, kind, why):
    with pytest.raises(BadRequest, match=why):
        snapshots.check(archive(path, entry("good"), entry("odd", type=kind, linkname="good")))


@pytest.mark.parametrize(
    "entries",
    [
        (entry("a"), entry("a")),
        (entry("a"), entry("./a")),
        (entry("a/b"), entry("a//b")),
        (entry("a", None), entry("a", None)),
        (entry("a", None), entry("a")),
        (entry("a/b"), entry("a")),
    ],
)
def test_a_name_that_comes_twice_is_refused(path, entries):
    with pytest.raises(BadRequest, match="twice"):
        snapshots.check(archive(path, *entries))


def test_a_file_below_a_file_is_refused(path):
    with pytest.raises(BadRequest, match="below the file 'a'"):
        snapshots.check(archive(path, entry("a"), entry("a/b")))


def test_a_folder_may_come_after_its_files(path):
    assert snapshots.check(archive(path, entry("a/b"), entry("a", None))).files == 1


def test_too_many_entries_are_refused(path, monkeypatch):
    monkeypatch.setattr(snapshots, "MAXIMUM_ENTRIES", 10)
    with pytest.raises(TooLarge, match="10 files and folders"):
        snapshots.check(archive(path, *(entry(f"{number}") for number in range(11))))


def test_folders_that_are_only_implied_count_as_entries(path, monkeypatch):
    monkeypatch.setattr(snapshots, "MAXIMUM_ENTRIES", 10)
    with pytest.raises(TooLarge):
        snapshots.check(archive(path, entry("a/b/c/d/e/f/g/h/i/j/k/l")))


def test_too_many_bytes_are_refused(path, monkeypatch):
    monkeypatch.setattr(snapshots, "MAXIMUM_BYTES", 1_000_000)
    with pytest.raises(TooLarge, match="MiB unpacked"):
        snapshots.check(archive(path, entry("a", bytes(600_000)), entry("b", bytes(600_000))))


class Counting(io.BytesIO):
    """Knows how far it was read."""

    furthest = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        Counting.furthest = max(Counting.furthest, self.tell())
        return data


def test_a_bomb_is_left_early(path, monkeypatch):
    monkeypatch.setattr(snapshots, "MAXIMUM_BYTES", 1_000_000)
    monkeypatch.setattr(snapshots, "MAXIMUM_ENTRIES", 100)
    header = entry("bomb", b"", size=50_000_000)[0].tobuf()
    packed = gzip.compress(header + bytes(50_000_000))
    path.write_bytes(packed)
    real = gzip.open
    monkeypatch.setattr(gzip, "open", lambda path, mode: real(Counting(Path(path).read_bytes()), mode))
    with pytest.raises(TooLarge):
        snapshots.check(path)
    assert Counting.furthest < len(packed)


def test_a_bomb_in_an_extended_header_is_refused(path):
    header = entry("x", type=tarfile.XHDTYPE, size=1 << 40)[0].tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(gzip.compress(header + bytes(1 << 20)))
    with pytest.raises(BadRequest, match="impossible size"):
        snapshots.check(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b""), gzip.compress(b"no tar" * 500), gzip.compress(bytes(10_240))],
    ids=["empty", "no gzip", "empty gzip", "no tar", "empty tar"],
)
def test_what_is_no_archive_with_files_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(BadRequest):
        snapshots.check(path)


def test_a_cut_archive_is_refused(path, tmp_path):
    archive(path, entry("a", bytes(range(256)) * 4000))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BadRequest, match="readable"):
        snapshots.check(path)
    with pytest.raises(BadRequest, match="readable"):
        snapshots.unpack(path, tmp_path / "target")
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_a_manifest_that_is_no_text_or_too_large_is_refused(path):
    with pytest.raises(BadRequest, match=r"crewship.toml: not UTF-8"):
        snapshots.check(archive(path, entry("crewship.toml", b"\xff")))
    with pytest.raises(TooLarge, match=r"crewship.toml"):
        snapshots.check(archive(path, entry("crewship.toml", bytes(300_000))))


def test_unpacking_gives_the_files_with_plain_modes(path, tmp_path):
    archive(path, entry("run.sh", b"#!", mode=0o4777), entry("deep/er/a", b"1", mode=0o000), entry("empty", None))
    target = tmp_path / "below" / "target"
    snapshots.unpack(path, target)
    assert {found.relative_to(target).as_posix(): found.stat().st_mode & 0o7777 for found in target.rglob("*")} == {
        "run.sh": 0o755,
        "deep": 0o755,
        "deep/er": 0o755,
        "deep/er/a": 0o644,
        "empty": 0o755,
    }
    assert (target / "deep/er/a").read_bytes() == b"1"
    assert list(target.parent.iterdir()) == [target]


def test_unpacking_again_changes_nothing(path, tmp_path):
    snapshots.unpack(archive(path, entry("a", b"1")), tmp_path / "target")
    snapshots.unpack(tmp_path / "not there", tmp_path / "target")
    assert (tmp_path / "target" / "a").read_bytes() == b"1"


def test_a_refused_snapshot_leaves_nothing_unpacked(path, tmp_path):
    with pytest.raises(BadRequest):
        snapshots.unpack(archive(path, entry("a", b"1"), entry("../b")), tmp_path / "target")
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


_NAMES = st.text(st.sampled_from("ab./\\ \n\x00é\udcff"), max_size=8)
_KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(_NAMES, _KINDS, st.binary(max_size=4)), max_size=5))
def test_whatever_is_in_an_archive_stays_in_its_folder(tmp_path_factory, entries):
    place = tmp_path_factory.mktemp("hostile")
    path = place / "snapshot.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT, compresslevel=1) as packed:
        for name, kind, content in entries:
            member, _ = entry(name, content, type=kind, linkname="../../x")
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            packed.addfile(member, io.BytesIO(content) if member.size else None)
    try:
        info = snapshots.check(path)
    except DomainError:
        return
    snapshots.unpack(path, place / "target")
    files = [found for found in place.rglob("*") if not found.is_dir() and found != path]
    assert all(found.is_relative_to(place / "target") and not found.is_symlink() for found in files)
    assert len(files) == info.files


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused_or_read_but_never_breaks(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "snapshot.tar.gz"
    archive(path, entry("a" * 120, b"1" * 50, pax_headers={"comment": "x"}), entry("b", b"2"))
    raw = bytearray(gzip.decompress(path.read_bytes()))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    path.write_bytes(gzip.compress(bytes(raw[: data.draw(st.integers(0, len(raw)))]), compresslevel=1))
    with contextlib.suppress(DomainError):
        snapshots.check(path)
