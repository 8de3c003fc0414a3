"""What travels with a deploy, and what never does."""

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from crewship.cli.errors import Mistake
from crewship.cli.snapshot import pack


def make(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def packed(folder: Path, *exclude: str) -> list[str]:
    return pack(folder, exclude, io.BytesIO()).names


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        folder = tmp_path / name
        names = ["b.py", "a/c.py", "a.py", "run.sh"]
        make(folder, **{file: file for file in (names if name == "one" else reversed(names))})
        (folder / "run.sh").chmod(0o700)
        os.utime(folder / "a.py", (len(archives), len(archives)))
        archive = io.BytesIO()
        pack(folder, (), archive)
        archives.append(archive.getvalue())
    assert archives[0] == archives[1]
    with tarfile.open(fileobj=io.BytesIO(archives[0])) as tar:
        assert [entry.name for entry in tar] == ["a.py", "a/c.py", "b.py", "run.sh"]
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in tar} == {(0, 0, 0, "")}
        assert [oct(entry.mode) for entry in tar] == ["0o644", "0o644", "0o644", "0o755"]


def test_what_never_travels_stays(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            "graph.py": "",
            ".env": "",
            ".env.local": "",
            ".env.example": "",
            "deep/.env": "",
            "deep/.env.production": "",
            "deep/environment.py": "",
            ".git/config": "",
            ".venv/x": "",
            "venv/x": "",
            "pkg/__pycache__/x.pyc": "",
            "node_modules/x/index.js": "",
            ".data/log.db": "",
        },
    )
    make(tmp_path, **{".gitignore": "!.env\n!.env.local\n"})
    assert packed(tmp_path) == [".env.example", ".gitignore", "deep/environment.py", "graph.py"]


def test_gitignore_is_read_as_git_reads_it(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            ".gitignore": "*.log\n/build/\nout/*\n!out/keep.txt\ndata/\n!data/kept.txt\n\\#odd\n",
            "a.log": "",
            "sub/b.log": "",
            "sub/.gitignore": "!important.log\n/local.txt\nbuild/\n",
            "sub/important.log": "",
            "sub/local.txt": "",
            "sub/deeper/local.txt": "",
            "sub/build/x": "",
            "build/x": "",
            "other/build/x": "",
            "out/keep.txt": "",
            "out/drop.txt": "",
            "data/kept.txt": "",
            "#odd": "",
        },
    )
    assert packed(tmp_path) == [
        ".gitignore",
        "other/build/x",
        "out/keep.txt",
        "sub/.gitignore",
        "sub/deeper/local.txt",
        "sub/important.log",
    ]


def test_taking_back_a_folder_does_not_take_back_what_is_ignored_in_it(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            ".gitignore": "*.pem\n!/src\nc/**\n!c/keep\na/**/\n",
            "src/key.pem": "",
            "src/a.py": "",
            "c/keep": "",
            "c/drop": "",
            "a/file": "",
            "a/b/file": "",
        },
    )
    assert packed(tmp_path) == [".gitignore", "a/file", "c/keep", "src/a.py"]


def test_gitignore_files_above_count_up_to_the_top_of_the_repository(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            ".gitignore": "*",
            "repo/.git/HEAD": "",
            "repo/.gitignore": "*.pem\n/agents/mine/secret.txt\nagents/other/\n",
            "repo/agents/mine/graph.py": "",
            "repo/agents/mine/a.pem": "",
            "repo/agents/mine/secret.txt": "",
            "repo/agents/other/graph.py": "",
            "repo/agents/other/a.pem": "",
        },
    )
    assert packed(tmp_path / "repo/agents/mine") == ["graph.py"]
    # What is ignored as a whole was named by whoever deploys it.
    assert packed(tmp_path / "repo/agents/other") == ["a.pem", "graph.py"]


def test_build_exclude_keeps_out_and_crewship_toml_always_travels(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            "crewship.toml": "",
            ".gitignore": "*.toml",
            "tests/a.py": "",
            "pkg/tests/a.py": "",
            "a.csv": "",
            "b.py": "",
        },
    )
    assert packed(tmp_path, "tests", "*.csv") == [".gitignore", "b.py", "crewship.toml"]


def test_a_pattern_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    make(tmp_path, **{"a.py": ""})
    with pytest.raises(Mistake, match=r"\[build\] exclude"):
        packed(tmp_path, "!")


def test_a_link_inside_travels_as_what_it_points_at(tmp_path: Path) -> None:
    make(tmp_path, **{"real/a.txt": "content"})
    (tmp_path / "link.txt").symlink_to("real/a.txt")
    (tmp_path / "folder").symlink_to("real")
    archive = io.BytesIO()
    assert pack(tmp_path, (), archive).names == ["folder/a.txt", "link.txt", "real/a.txt"]
    with tarfile.open(fileobj=io.BytesIO(archive.getvalue())) as tar:
        assert all(entry.isreg() for entry in tar)
        file = tar.extractfile("link.txt")
        assert file is not None
        assert file.read() == b"content"


def test_links_that_lead_out_to_nothing_or_in_circles_are_named(tmp_path: Path) -> None:
    project = tmp_path / "project"
    make(tmp_path, **{"project/a.py": "", "outside.txt": "secret", "project/.env": "secret"})
    (project / "out").symlink_to("../outside.txt")
    (project / "etc").symlink_to("/etc")
    (project / "nothing").symlink_to("nowhere")
    (project / "circle").symlink_to(".")
    (project / "self").symlink_to("self")
    with pytest.raises(Mistake) as caught:
        packed(project)
    message = caught.value.message
    assert f"out is a link that points outside of the project, to {tmp_path}/outside.txt" in message
    assert "etc is a link that points outside" in message
    assert "nothing is a link that points at nothing" in message
    assert "circle is a link that leads back" in message
    assert "self is a link that points at nothing" in message


def test_a_link_does_not_take_secrets_along(tmp_path: Path) -> None:
    make(tmp_path, **{".env": "secret"})
    (tmp_path / "settings.txt").symlink_to(".env")
    with pytest.raises(Mistake, match=r"settings\.txt is a link to \.env, which never travels"):
        packed(tmp_path)


def test_a_link_that_is_ignored_is_nobodys_business(tmp_path: Path) -> None:
    make(tmp_path, **{"a.py": "", ".gitignore": "out\n"})
    (tmp_path / "out").symlink_to("/etc/passwd")
    assert packed(tmp_path) == [".gitignore", "a.py"]


def test_names_of_all_scripts_travel(tmp_path: Path) -> None:
    names = ["a b.txt", "naïve.py", "研究/報告.md", "🚢.txt", "x" * 150 + "/" + "y" * 150, "wide\u3000space"]
    make(tmp_path, **dict.fromkeys(names, ""))
    archive = io.BytesIO()
    assert pack(tmp_path, (), archive).names == sorted(names)
    with tarfile.open(fileobj=io.BytesIO(archive.getvalue())) as tar:
        assert tar.getnames() == sorted(names)


def test_names_that_no_other_machine_could_take_are_named(tmp_path: Path) -> None:
    for name in (b"a\nb", b"latin-\xe9", b"a\\b"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb"):
            pass
    with pytest.raises(Mistake) as caught:
        packed(tmp_path)
    assert caught.value.message.count("is a name that cannot be packed") == 3


def test_sockets_and_pipes_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, **{"a.py": ""})
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert packed(tmp_path) == ["a.py"]


def test_a_line_of_gitignore_that_is_no_pattern_is_passed_over_as_git_does(tmp_path: Path) -> None:
    make(tmp_path, **{".gitignore": "!\n/\n*.log\r\n", "a.log": "", "a.py": ""})
    assert packed(tmp_path) == [".gitignore", "a.py"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="holds nothing to deploy"):
        packed(tmp_path)
