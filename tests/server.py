"""A real server in a process of its own, to be asked, killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests import projects

ADMIN_KEY = "operator-key-of-the-tests"
DEADLINE = 60.0


class ServerProcess:
    """`crewship serve` over a data folder."""

    def __init__(self, data: Path, *options: str, **environment: str) -> None:
        self.data = data
        self._options = options if "--executor" in options else ("--executor", "local", *options)
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.program = [str(Path(sys.executable).parent / "crewship")]
        self.port = 0
        data.mkdir(parents=True, exist_ok=True)

    def start(self, **environment: str) -> "ServerProcess":
        """Start it and wait until it is ready; on the port it had before, if it had one."""
        log = (self.data / "server.out").open("ab")
        begin = log.tell()
        command = [*self.program, "serve", "--data", str(self.data)]
        environment = {**os.environ, "CREWSHIP_ADMIN_KEY": ADMIN_KEY, **self._environment, **environment}
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port), *self._options], stdout=log, stderr=log, env=environment
        )
        log.close()
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            said = (self.data / "server.out").read_bytes()[begin:].decode(errors="replace")
            for line in said.splitlines():
                if line.startswith("Crewship listens on "):
                    self.port = int(line.rpartition(":")[2])
                    return self
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended at once: {said}")
            time.sleep(0.02)
        raise TimeoutError(f"the server did not come up: {said}")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """All that it wrote to its terminal."""
        return (self.data / "server.out").read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(DEADLINE)

    def client(self, key: str | None = ADMIN_KEY, **options: Any) -> httpx.Client:
        """A client with a key."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=DEADLINE, **options)


class Api:
    """What tests ask of a server again and again."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def deploy(self, name: str, files: dict[str, str] = projects.PROBE, environment: str = "production") -> Any:
        """Deploy a project and wait for its build; returns the version."""
        created = self.client.post("/v1/deployments", json={"name": name})
        assert created.status_code in (201, 409), created.text
        url = f"/v1/deployments/{name}/versions?environment={environment}"
        answer = self.client.post(url, content=projects.pack(files))
        assert answer.status_code == 202, answer.text
        version_id = answer.json()["version_id"]
        list(self.events(f"/v1/versions/{version_id}/events"))
        return self.client.get(f"/v1/versions/{version_id}").json()

    def start(self, deployment: str, *steps: list[Any], **more: Any) -> str:
        """Start a run of the probe; returns its id."""
        answer = self.client.post("/v1/runs", json={"deployment_id": deployment, "input": {"steps": steps}, **more})
        assert answer.status_code == 202, answer.text
        run_id: str = answer.json()["run_id"]
        return run_id

    def run(self, deployment: str, *steps: list[Any]) -> Any:
        """Start a run and wait for its end; returns the run."""
        return self.wait(self.start(deployment, *steps))

    def wait(self, run_id: str) -> Any:
        """The run once it has ended."""
        run = self.client.get(f"/v1/runs/{run_id}/wait?timeout=60").json()
        assert run["status"] not in ("pending", "running"), run
        return run

    def until(self, run_id: str, status: str) -> None:
        """Wait until a run has a status."""
        deadline = time.monotonic() + DEADLINE
        while (now := self.client.get(f"/v1/runs/{run_id}").json()["status"]) != status:
            assert time.monotonic() < deadline, now
            time.sleep(0.02)

    def events(self, url: str, last: str | None = None) -> Iterator[dict[str, Any]]:
        """The events of a stream until the server ends it: `id`, `event`, and `data` decoded."""
        headers = {"Last-Event-ID": last} if last else {}
        with self.client.stream("GET", url, headers=headers) as response:
            if response.status_code == 204:
                return
            assert response.status_code == 200, response.read()
            yield from parse(response.iter_lines())


def parse(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events, read as plainly as can be."""
    event: dict[str, Any] = {}
    for line in lines:
        if not line:
            if "data" in event:
                yield event
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = json.loads(value) if name == "data" else value
