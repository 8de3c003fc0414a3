"""One build's workplace: a private copy of the project, and uv or npm working on it in a sandbox of its own.

A build runs code that is not ours (setup.py, build backends), so it sees no more than a run does: its project, what it
makes, the cache of its deployment, and the index settings that the operator gave the server for builds.
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import uv

from crewship.engine import bubblewrap
from crewship.engine.bubblewrap import Jail, Mount
from crewship.engine.executor import BuildFailed

MAXIMUM_LINES = 10_000
MAXIMUM_LINE = 4_096  # characters

_CREDENTIALS = re.compile(r"://[^/\s@]+@")
_ERROR = re.compile(r"^\s*(error\b|\u00d7)", re.IGNORECASE)
_NPM_ERROR = re.compile(
    r"npm (?:error|ERR!) (?!code |A complete log|For a full report|errno |syscall )(?:[0-9]+ +)?(\S{2,}.*)"
)
_DRAWING = re.compile(r"[\s│├╰─▶\u00d7]+")

# What of the server's environment a build may know: where packages come from, and whom TLS trusts.
_SETTINGS = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX(_.+)?|EXTRA_INDEX_URL|FIND_LINKS|OFFLINE|NATIVE_TLS|SYSTEM_CERTS|INSECURE_HOST"
    r"|HTTP_TIMEOUT|HTTP_RETRIES|KEYRING_PROVIDER|EXCLUDE_NEWER|CONCURRENT_.+|PRERELEASE|INDEX_STRATEGY)"
    r"|PIP_(INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|CERT|TRUSTED_HOST|DEFAULT_TIMEOUT)"
    r"|(NPM_CONFIG|npm_config)_(REGISTRY|registry|CAFILE|cafile|STRICT_SSL|strict_ssl)|NODE_EXTRA_CA_CERTS"
    r"|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|(HTTP|HTTPS|ALL|NO)_PROXY|(http|https|all|no)_proxy"
)
# uv does not read pip's variables; who set those means them all the same. (pip separates by spaces, uv by commas.)
_FROM_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}
_NAMES_FILES = (
    *("UV_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_INDEX_URL", "PIP_FIND_LINKS"),
    *("PIP_CERT", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("NODE_EXTRA_CA_CERTS", "NPM_CONFIG_CAFILE", "npm_config_cafile"),
)


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Of the operator's environment what a build gets to see."""
    given = {name: value for name, value in environ.items() if _SETTINGS.fullmatch(name) and value}
    for theirs, ours in _FROM_PIP.items():
        if theirs in given:
            given.setdefault(ours, ",".join(given[theirs].split()))
    if "SSL_CERT_FILE" in given:
        given.setdefault("NODE_EXTRA_CA_CERTS", given["SSL_CERT_FILE"])  # Node knows no other for those it is to add
    return given


def named_files(given: Mapping[str, str]) -> list[Path]:
    """The files and folders of the host that the settings name."""
    found: dict[Path, None] = {}
    for name in _NAMES_FILES:
        for part in re.split(r"[,\s:]+(?!//)", given.get(name, "").replace("file://", "")):
            path = Path(part)
            if path.is_absolute() and path.exists():
                found[path] = None
    return list(found)


class Transcript:
    """What a build says: cut to what may be shown, without credentials, its end kept to name a reason."""

    def __init__(self) -> None:
        self._tail: list[str] = []
        self._lines = 0

    def said(self, raw: str) -> str | None:
        """A line as it may be shown; None when it is empty, or when there have been too many."""
        line = _CREDENTIALS.sub("://***@", raw.rstrip()[:MAXIMUM_LINE])
        self._tail = [*self._tail[-40:], line]
        self._lines += 1
        if self._lines > MAXIMUM_LINES:
            return "… more output than is kept" if self._lines == MAXIMUM_LINES + 1 else None
        return line or None

    def begin(self) -> None:
        """Another step begins: what was said before is not its reason."""
        self._tail.clear()

    def reason(self) -> str:
        """The last error among uv's last lines, as one line; empty if nothing was said."""
        return _reason(self._tail)


class Workplace:
    """Where the steps of one build run.

    `places` are what a build sees beside the system, by the name in `/`: source, cache, tmp and what is made, each a
    folder of the host that the build may write to. Without a sandbox (`confined` false) the steps see the host's own
    paths. `tools` are the environment of the programs that do the work, which find the places by their names in it.
    """

    def __init__(
        self,
        *,
        places: Mapping[str, Path],
        reads: Sequence[Path],
        identities: Path,
        identity: int | None,
        confined: bool,
        environ: Mapping[str, str],
        tools: Mapping[str, str],
        deadline: float,
    ) -> None:
        self._places = dict(places)
        self._confined = confined
        self._identity = identity
        self._deadline = deadline
        self._environ = self._environment(environ, tools)
        self._jail = Jail(
            mounts=tuple(self._mounts(reads, environ)),
            directory="/source",
            identities=identities,
            network=True,
            identity=identity,
            bound=True,
        )
        self._transcript = Transcript()

    def path(self, name: str) -> str:
        """Where the steps find one of the places."""
        return f"/{name}" if self._confined else str(self._places[name])

    async def uv(self, *arguments: str) -> AsyncGenerator[str, None]:
        """Run uv in the source's folder and yield what it says. Raises BuildFailed with its last error."""
        program = "/uv" if self._confined else uv.find_uv_bin()
        async with contextlib.aclosing(self.run([program, *arguments], f"uv {arguments[0]}")) as lines:
            async for line in lines:
                yield line

    async def run(self, program: list[str], called: str) -> AsyncGenerator[str, None]:
        """Run a program in the source's folder and yield what it says. Raises BuildFailed with its last error."""
        self._transcript.begin()
        process = await self._start(program)
        try:
            async for line in self._read(process):
                yield line
            async with asyncio.timeout(self._left()):
                status = await process.wait()
        except TimeoutError:
            raise BuildFailed("the build took too long and was ended") from None
        finally:
            await _end(process)
        if status != 0:
            raise BuildFailed(self._transcript.reason() or f"{called} ended with status {status}")

    async def _start(self, program: list[str]) -> asyncio.subprocess.Process:
        if self._confined:
            # What the steps see is set inside: the sandbox begins with an empty environment.
            assign = [f"{name}={value}" for name, value in self._environ.items()]
            program = bubblewrap.command(self._jail, ["/usr/bin/env", *assign, *program])
        return await asyncio.create_subprocess_exec(
            *program,
            env=bubblewrap.environment() if self._confined else self._environ,
            cwd="/" if self._confined else self._places["source"],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    async def _read(self, process: asyncio.subprocess.Process) -> AsyncGenerator[str, None]:
        assert process.stdout is not None
        rest = ""
        while True:
            async with asyncio.timeout(self._left()):
                data = await process.stdout.read(65_536)
            if not data:
                break
            *complete, rest = (rest + data.decode(errors="replace")).split("\n")
            rest = rest[:MAXIMUM_LINE]
            for raw in complete:
                if line := self._transcript.said(raw):
                    yield line
        if rest and (line := self._transcript.said(rest)):
            yield line

    def _left(self) -> float:
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    def _environment(self, given: Mapping[str, str], tools: Mapping[str, str]) -> dict[str, str]:
        places = {name: self.path(name) for name in self._places}
        return {
            **given,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": self.path("tmp"),
            "TMPDIR": self.path("tmp"),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            **{name: value.format(**places) for name, value in tools.items()},
        }

    def _mounts(self, reads: Sequence[Path], given: Mapping[str, str]) -> list[Mount]:
        mounts = [Mount(path, f"/{name}", writable=True) for name, path in self._places.items()]
        mounts.append(Mount(Path(uv.find_uv_bin()), "/uv"))
        for path in (*reads, *named_files(given)):
            if not path.is_relative_to("/usr"):  # which is seen anyway
                mounts.append(Mount(path, str(path)))
        return mounts


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the step and all it started, and wait until nothing of it writes any more."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    if process.stdout is not None:
        # Its end is read when the last process that could write to it is dead.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while await process.stdout.read(65_536):
                    pass


def _reason(tail: Sequence[str]) -> str:
    """The last error among uv's last lines, or what npm says of its first, as one line."""
    if npm := [found[1] for line in tail if (found := _NPM_ERROR.match(line))]:
        return f"npm: {' '.join(npm[:3])}"[:500]
    starts = [index for index, line in enumerate(tail) if _ERROR.match(line)]
    chosen = tail[starts[-1] :] if starts else tail[-1:]
    return " ".join(_DRAWING.sub(" ", line).strip() for line in chosen).strip()[:500]
