"""How the console's files are served: a strict policy, kept for ever, small."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.server import ServerProcess

ROOT = Path(__file__).parents[3]
FIRST_PAGE_BYTES = 200_000


def test_the_page_allows_nothing_but_its_own_files(server: ServerProcess):
    with server.client(None) as client:
        page = client.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script(?! [^>]*src=)|style=|https?://", page.text)


def test_the_first_page_is_small_and_its_parts_are_kept_for_ever(server: ServerProcess):
    with server.client(None) as client:
        page = client.get("/")
        parts = re.findall(r'(?:href|src)="([^"]+)"', page.text)
        assert len(parts) > 10
        size = 0
        for part in dict.fromkeys(parts):
            answer = client.get(part)
            assert answer.status_code == 200, part
            assert "immutable" in answer.headers["Cache-Control"]
            size += int(answer.headers["Content-Length"])
        again = client.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert size < FIRST_PAGE_BYTES
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/console/0000/app.js", "/console/x/../../config.py", "/console/%2e%2e/app.js"])
def test_other_addresses_hold_nothing(server: ServerProcess, path: str):
    with server.client(None) as client:
        assert client.get(path).status_code == 404


def test_nothing_is_asked_of_another_origin():
    for file in (ROOT / "crewship" / "console").rglob("*.*"):
        if file.suffix in (".js", ".css", ".html") and file.parent.name != "vendor":
            text = file.read_text()
            assert not re.search(r"""(?:src|href|import|url\()\s*[=(]?\s*["']?https?://""", text), file


def test_the_libraries_are_those_that_npm_has():
    subprocess.run([ROOT / "scripts" / "vendor-console", "--check"], check=True)
