"""A guard as the server starts it, without a sandbox around it: real descriptors, a real child."""

import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from crewship.engine import protocol

ROOT = Path(__file__).parents[3]
RUNNER = ROOT / "crewship" / "runner" / "python"
CACHE = ROOT / ".data" / "test-cache-runner"  # not below test-cache, whose owner removes what it does not know
DEADLINE = 60.0  # seconds; only a broken guard gets there

LIMITS = {"timeout": None, "grace": 5, "memory": None, "processes": None, "disk": None, "logs": 32 << 20, "cpus": None}


class Guarded:
    """One guard, its journal and the means to talk to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = folder / "app"
        self.app.mkdir(parents=True)
        self.journal = folder / "journal"
        self.lock = folder / "lock"
        self.control, self.bell = folder / "control", folder / "bell"
        os.mkfifo(self.control)
        os.mkfifo(self.bell)
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, **files: str) -> None:
        """Files of the project; `__` in a name stands for a folder."""
        for name, text in files.items():
            path = self.app / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))

    def spec(self, entrypoint: str = "graph:graph", **changes: Any) -> dict[str, Any]:
        limits = {**LIMITS, **changes.pop("limits", {})}
        env = {"PATH": os.defpath, "HOME": str(self.folder), "LANG": "C.UTF-8", **changes.pop("env", {})}
        spec = {"run_id": "run_1", "thread_id": None, "framework": "langgraph", "entrypoint": entrypoint, "input": {}}
        return {**spec, "env": env, "app": str(self.app), "limits": limits, "watch": [str(self.app)], **changes}

    def start(
        self,
        spec: dict[str, Any] | bytes,
        runner: Path | None = None,
        python: str = sys.executable,
        *,
        warm: bool = False,
    ) -> None:
        fds = {
            "journal": os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
            "control": os.open(self.control, os.O_RDWR),
            "bell": os.open(self.bell, os.O_RDWR),
            "lock": os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600),
        }
        arguments = [argument for name, fd in fds.items() for argument in (f"--{name}", str(fd))]
        arguments += ["--warm"] if warm else []
        arguments += ["--", python, str(runner or RUNNER / "run.py")]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(RUNNER / "guard.py"), *arguments],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=tuple(fds.values()),
            start_new_session=True,
        )
        for fd in fds.values():
            os.close(fd)
        self.write_spec(spec if isinstance(spec, bytes) else json.dumps(spec).encode() + b"\n" * warm, end=not warm)

    def write_spec(self, data: bytes, *, end: bool = True) -> None:
        """Onto the guard's standard input, which ends then unless more is to come."""
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)
            self.process.stdin.flush()
            if end:
                self.process.stdin.close()

    def call(self, **changes: Any) -> None:
        """Give a warm sandbox its run."""
        call = {"run_id": "run_1", "thread_id": None, "input": {}, "env": {}, **changes}
        self.write_spec(json.dumps(call).encode())

    def tell(self, command: str) -> None:
        with open(self.control, "r+b", buffering=0) as control:
            control.write(command.encode() + b"\n")

    def raw(self) -> list[bytes]:
        return self.journal.read_bytes().splitlines(keepends=True) if self.journal.exists() else []

    def lines(self) -> list[protocol.Line]:
        return [protocol.parse(line) for line in self.raw() if line.endswith(b"\n")]

    def messages(self, *kinds: type) -> list[Any]:
        messages = [line.message for line in self.lines()]
        return [message for message in messages if not kinds or isinstance(message, kinds)]

    def until(self, condition: Callable[[], Any]) -> Any:
        """What the condition gives once it holds; fails when it does not come to that."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.01)
        raise AssertionError(f"it never came to that; the journal: {self.messages()}")

    def said(self, text: str) -> None:
        """Wait until the run logged this line."""
        self.until(lambda: any(text == log.message for log in self.messages(protocol.Log)))

    def end(self) -> protocol.Exit:
        """Wait for the guard to end; its journal is whole then, and numbered without gaps."""
        assert self.process is not None
        assert self.process.stderr is not None
        assert self.process.wait(DEADLINE) == 0, self.process.stderr.read().decode()
        assert self.process.stderr.read() == b""
        lines = self.lines()
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))
        assert [line.at for line in lines] == sorted(line.at for line in lines)
        assert [type(line.message) for line in lines].count(protocol.Exit) == 1
        exit_line = lines[-1].message
        assert isinstance(exit_line, protocol.Exit)
        return exit_line

    def run(self, spec: dict[str, Any], **more: Any) -> protocol.Exit:
        self.start(spec, **more)
        return self.end()

    def child_code(self, code: str, *, warm: bool = False, **changes: Any) -> None:
        """Start the guard with a child of our own: `report(**fields)` and `raw(bytes)` are there for its code."""
        child = self.folder / "child.py"
        child.write_text(CHILD + dedent(code))
        self.start(self.spec(**changes), runner=child, warm=warm)

    def logs(self, stream: str = "stdout") -> list[str]:
        return [log.message for log in self.messages(protocol.Log) if log.stream == stream]

    def holder(self) -> int:
        """The pid of the process that holds the lock, 0 for none."""
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        with open(self.lock, "r+b") as lock:
            kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(lock, fcntl.F_GETLK, asked))
        return 0 if kind == fcntl.F_UNLCK else pid

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stderr):
                if pipe is not None:
                    pipe.close()


CHILD = """
import json, os, signal, subprocess, sys, time
fd = int(sys.argv[sys.argv.index("--report") + 1])
def raw(data):
    while data:
        data = data[os.write(fd, data):]
def report(kind, **fields):
    raw(json.dumps({"type": kind, **fields}).encode() + b"\\n")
"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    guarded = Guarded(tmp_path / "run")
    yield guarded
    guarded.close()


@pytest.fixture
def guards(tmp_path: Path) -> Iterator[Callable[[], Guarded]]:
    """Makes one guard after another, each with a project of its own."""
    made: list[Guarded] = []

    def make() -> Guarded:
        made.append(Guarded(tmp_path / f"run-{len(made)}"))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def langgraph_python() -> str:
    """An interpreter with the newest LangGraph; made once, and kept outside of what git sees."""
    return _environment("langgraph-2", "langgraph", "langchain-openai", "langgraph-checkpoint-conformance")


@pytest.fixture(scope="session")
def old_langgraph_python() -> str:
    """An interpreter with the last LangGraph of the 0.2 line."""
    return _environment("langgraph-0.2", "langgraph==0.2.*")


@pytest.fixture(scope="session")
def crewai_python() -> str:
    """An interpreter with the newest CrewAI."""
    return _environment("crewai-1", "crewai")


@pytest.fixture(scope="session")
def old_crewai_python(request: pytest.FixtureRequest) -> str:
    """An interpreter with the CrewAI that a test asks for; the oldest ones expect a setuptools of their day."""
    return _environment(f"crewai-{request.param}", f"crewai=={request.param}", "setuptools<81")


def _environment(name: str, *packages: str) -> str:
    place = CACHE / name
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with open(CACHE / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (place / "ready").exists():
                uv = str(Path(sys.executable).parent / "uv")
                subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], check=True)
                install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
                subprocess.run([*install, *packages], check=True)
                (place / "ready").touch()
    return str(python)
