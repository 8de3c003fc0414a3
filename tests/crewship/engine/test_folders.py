"""Folders that hostile code wrote into."""

import os

import pytest

from crewship.engine import folders


def test_a_copy_shares_nothing_with_its_source_and_leaves_out_what_it_should(tmp_path):
    source = tmp_path / "source"
    (source / "a" / "artifacts").mkdir(parents=True)
    (source / "artifacts").mkdir()
    (source / "artifacts" / "old").write_text("old")
    (source / "a" / "artifacts" / "kept").write_text("kept")
    (source / "run.sh").write_text("x")
    (source / "run.sh").chmod(0o755)
    target = tmp_path / "target"
    folders.copy(source, target, None, frozenset({"artifacts"}))
    assert sorted(found.relative_to(target).as_posix() for found in target.rglob("*")) == [
        *("a", "a/artifacts", "a/artifacts/kept", "run.sh")
    ]
    assert (target / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (target / "run.sh").stat().st_ino != (source / "run.sh").stat().st_ino


def test_no_more_than_a_thousand_artifacts_are_collected(tmp_path):
    for number in range(1003):
        (tmp_path / f"{number:04}").touch()
    files, refused = folders.collect(tmp_path)
    assert [files[0].name, files[-1].name, len(files)] == ["0000", "0999", 1000]
    assert [entry.name for entry in refused] == ["1000", "1001", "1002"]
    assert "1,000" in refused[0].why


def test_no_more_than_a_gibibyte_is_collected_but_what_still_fits_is(tmp_path):
    for name, size in (("a", 1000 << 20), ("b", 1000 << 20), ("c", 5)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    files, refused = folders.collect(tmp_path)
    assert [file.name for file in files] == ["a", "c"]
    assert [entry.name for entry in refused] == ["b"]


def test_refusals_are_bounded(tmp_path):
    for number in range(300):
        (tmp_path / f"{number:04}").symlink_to("/etc/passwd")
    files, refused = folders.collect(tmp_path)
    assert files == []
    assert len(refused) == 101
    assert "200 more" in refused[-1].why


def test_a_path_that_is_too_long_is_refused_and_not_entered(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("x" * 200, dir_fd=folder)
        inner = os.open("x" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    files, refused = folders.collect(tmp_path)
    assert files == []
    assert len(refused) == 1
    folders.remove(tmp_path)


@pytest.mark.parametrize("kind", ["file", "link", "nothing"])
def test_an_artifacts_folder_that_is_none_gives_no_files(tmp_path, kind):
    place = tmp_path / "artifacts"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    if kind == "file":
        place.touch()
    elif kind == "link":
        place.symlink_to("elsewhere")
    files, refused = folders.collect(place)
    assert files == []
    assert len(refused) == 1


def test_removing_takes_closed_deep_and_oddly_named_folders(tmp_path):
    root = tmp_path / "root"
    (root / ".removed-0" / "in").mkdir(parents=True)
    (root / ".removed-1").touch()
    (root / "closed" / "inner").mkdir(parents=True)
    (root / "closed" / "inner" / "file").touch()
    os.symlink(tmp_path, root / "closed" / "link")
    os.mkfifo(root / "fifo")
    os.mkdir(os.fsencode(root) + b"/\xff\n")
    (root / "closed" / "inner").chmod(0)
    (root / "closed").chmod(0)
    root.chmod(0)
    (tmp_path / "stays").touch()
    folders.remove(root)
    assert [found.name for found in tmp_path.iterdir()] == ["stays"]


def test_removing_what_is_not_there_does_nothing(tmp_path):
    folders.remove(tmp_path / "nothing")


def test_what_a_build_closed_is_opened_for_reading_alone(tmp_path):
    (tmp_path / "in").mkdir(mode=0o700)
    (tmp_path / "in" / "data").touch(mode=0o600)
    (tmp_path / "in" / "tool").touch(mode=0o4770)
    (tmp_path / "in" / "tool").chmod(0o4770)
    (tmp_path / "link").symlink_to("/nowhere")
    folders.open_to_all(tmp_path)
    modes = {name: (tmp_path / name).stat().st_mode & 0o7777 for name in ("in", "in/data", "in/tool")}
    assert modes == {"in": 0o755, "in/data": 0o644, "in/tool": 0o755}
