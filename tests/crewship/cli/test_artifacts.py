"""Downloads are whole, checked, and stay in their folder."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import Result

from crewship.cli.artifacts import inside
from crewship.cli.errors import CommandError

Command = Callable[..., Result]


def offer(server: Any, *, sha256: str | None = None, cut: int = 0, **files: bytes) -> None:
    listed = [
        {
            "name": name,
            "size": len(content),
            "content_type": "text/plain",
            "sha256": sha256 or hashlib.sha256(content).hexdigest(),
            "created_at": "2024-01-15T10:30:00Z",
        }
        for name, content in files.items()
    ]
    server.answers("GET", "/v1/runs/run_1/artifacts", {"artifacts": listed})
    cuts = [cut]
    for name, content in files.items():

        async def give(request: web.Request, content: bytes = content) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": str(len(content))})
            await response.prepare(request)
            if cuts[0]:
                cuts[0] -= 1
                await response.write(content[: len(content) // 2])
                assert request.transport is not None
                request.transport.abort()
            else:
                await response.write(content)
            return response

        server.routes["GET", f"/v1/runs/run_1/artifacts/{name}"] = give


def test_one_artifact_lands_under_its_name(server: Any, crewship: Command, tmp_path: Path) -> None:
    offer(server, **{"report.md": b"hello", "sub/data é.bin": b"\0\1"})
    assert crewship("runs", "download", "run_1", "report.md").stdout == "report.md (5 B)\n"
    assert crewship("runs", "download", "run_1", "report.md", "-o", "as.txt").exit_code == 0
    assert crewship("runs", "download", "run_1", "sub/data é.bin", "-o", "out/").exit_code == 0
    written = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert written == {"report.md": b"hello", "as.txt": b"hello", "out/sub/data é.bin": b"\0\1"}


def test_all_artifacts_land_in_a_folder(server: Any, crewship: Command, tmp_path: Path) -> None:
    offer(server, **{"a": b"1", "b/c": b"2"})
    assert crewship("runs", "download", "run_1", "-o", "out").exit_code == 0
    assert (tmp_path / "out/b/c").read_bytes() == b"2"


def test_a_broken_download_is_tried_again(server: Any, crewship: Command, tmp_path: Path) -> None:
    offer(server, cut=1, **{"a": b"x" * 100_000})
    result = crewship("runs", "download", "run_1", "a")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "a").stat().st_size == 100_000


def test_a_changed_file_does_not_land(server: Any, crewship: Command, tmp_path: Path) -> None:
    offer(server, sha256="0" * 64, a=b"x")
    (tmp_path / "a").write_text("before")
    result = crewship("runs", "download", "run_1", "a")
    assert (result.exit_code, result.stderr.split(" (")[0]) == (1, "error: a arrived changed")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "before")]


def test_an_artifact_that_is_not_there_is_told_with_those_that_are(server: Any, crewship: Command) -> None:
    offer(server, a=b"", b=b"")
    result = crewship("runs", "download", "run_1", "c")
    assert (result.exit_code, result.stderr) == (1, "error: run_1 has no artifact c; there is: a, b\n")


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "a//b", "", ".", "..", "a/..", "a\\..\\b", "a\0b", "./a", "a/"]
)
def test_a_name_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is not downloaded"):
        inside(tmp_path, name)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "up").symlink_to("..")
    (folder / "file").symlink_to("../file")
    for name in ("up/x", "file"):
        with pytest.raises(CommandError, match="leads out of the folder"):
            inside(folder, name)


def test_a_name_that_leads_out_writes_nothing(server: Any, crewship: Command, tmp_path: Path) -> None:
    offer(server, **{"../evil": b"x"})
    result = crewship("runs", "download", "run_1", "-o", "out")
    assert result.exit_code == 1
    assert "leads out of the folder" in result.stderr
    assert not list(tmp_path.parent.glob("evil"))
