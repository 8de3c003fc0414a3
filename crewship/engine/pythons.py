"""Which Python a version runs on: found among those of this machine, or fetched by uv where that is allowed."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import uv

from crewship.engine.executor import BuildFailed

_DOWNLOAD = 300.0  # seconds that fetching an interpreter may take
_LOOK = 60.0
_QUESTION = (
    "import json, os, sys; print(json.dumps({'executable': os.path.realpath(sys.executable),"
    " 'prefix': sys.base_prefix, 'version': '.'.join(map(str, sys.version_info[:3]))}))"
)


class Python(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter: its program (no link), the folder that holds all it needs, its version as `3.11.7`."""

    executable: str
    prefix: str
    version: str


class Pythons:
    """Finds interpreters; those that had to be fetched lie below `folder`. `environ` is the operator's."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._known: dict[str, Python] = {}

    async def find(self, request: str | None) -> Python:
        """The interpreter for a request like `3.11` or `>=3.10,<3.13`; None asks for the server's own version.

        Where a range allows the server's own, it is taken. Raises BuildFailed, saying which there are.
        """
        asked = (request or f"{sys.version_info.major}.{sys.version_info.minor}").replace(" ", "")
        known = self._known.get(asked)
        if known is None or not os.access(known.executable, os.X_OK):
            found = await self._look(asked)
            if found is None:
                raise BuildFailed(await self._excuse(asked))
            known = self._known[asked] = await _describe(found)
        return known

    async def _look(self, asked: str) -> str | None:
        fetched = {"UV_PYTHON_INSTALL_DIR": str(self._folder)}
        for more in ({}, fetched):
            status, said = await self._uv(["find", "--no-project", asked], more, _LOOK)
            if status == 0:
                return said.strip()
        if not self._may_fetch():
            return None
        status, _ = await self._uv(
            ["install", "--no-bin", asked], fetched | {"UV_PYTHON_DOWNLOADS": "manual"}, _DOWNLOAD
        )
        if status != 0:
            return None
        status, said = await self._uv(["find", "--no-project", asked], fetched, _LOOK)
        return said.strip() if status == 0 else None

    def _may_fetch(self) -> bool:
        downloads = self._environ.get("UV_PYTHON_DOWNLOADS", "automatic")
        return downloads != "never" and self._environ.get("UV_OFFLINE", "0").lower() in ("", "0", "false")

    async def _excuse(self, asked: str) -> str:
        _, said = await self._uv(["list", "--only-installed", "--output-format", "json"], {}, _LOOK)
        try:
            there = sorted({entry["version"] for entry in json.loads(said)}, key=_order)
        except (ValueError, KeyError, TypeError):
            there = []
        return (
            f"Python {asked} is not on the server (there: {', '.join(there) or 'none'}) and could not be fetched; "
            "install it there, for instance with `uv python install`, or ask for another in crewship.toml"
        )

    async def _uv(self, arguments: list[str], more: dict[str, str], patience: float) -> tuple[int, str]:
        """uv's exit status and what it said on standard output. Nothing of a project is run or read by this."""
        environ = {**self._environ, "UV_PYTHON_DOWNLOADS": "never", "PATH": self._path(), **more}
        return await output_of([uv.find_uv_bin(), "python", *arguments, *_QUIET], environ, patience)

    def _path(self) -> str:
        # The server's own first, so that it is the one when several would do. uv does not know pyenv's.
        root = Path(self._environ.get("PYENV_ROOT") or Path(self._environ.get("HOME", "/")) / ".pyenv")
        versions = sorted(root.glob("versions/*/bin"), key=lambda folder: _order(folder.parent.name), reverse=True)
        own = str(Path(sys.base_prefix, "bin"))
        return os.pathsep.join([own, *map(str, versions), self._environ.get("PATH", os.defpath)])


_QUIET = ["--no-config", "--no-progress", "--color", "never", "--python-preference", "system"]


def _order(version: str) -> list[int]:
    return [int(part) if part.isdigit() else -1 for part in version.split(".")]


async def _describe(executable: str) -> Python:
    status, said = await output_of([executable, "-I", "-c", _QUESTION], {}, _LOOK)
    if status != 0:
        raise BuildFailed(f"the Python at {executable} on the server does not start")
    return msgspec.json.decode(said, type=Python)


async def output_of(command: list[str], environ: Mapping[str, str], patience: float) -> tuple[int, str]:
    """A program's exit status, -1 where it takes longer than `patience` seconds, and what it says on its output."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(environ),
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(patience):
            said, _ = await process.communicate()
    except TimeoutError:
        return -1, ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")
