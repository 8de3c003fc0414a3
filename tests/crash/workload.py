"""What clients do while the server is being killed, and what it told them: the ledger against which it is judged."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests import projects
from tests.server import Api, ServerProcess, parse

LINES = 12
UNDER_WAY = 8
TERMINAL = {"run.completed", "run.failed", "run.canceled"}


class Down(Exception):
    """The server is gone, in the middle of a request or before it."""


@dataclass
class Watched:
    """A run whose stream somebody follows across the server's lives."""

    run_id: str
    seen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether its last event was seen."""
        return bool(self.seen) and self.seen[-1]["event"] in TERMINAL


@dataclass
class Ledger:
    """All that the server has acknowledged, and what was asked without an answer."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  # by Idempotency-Key: the request, and `run_id`
    canceled: set[str] = field(default_factory=set)
    versions: list[str] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)
    threads: dict[str, list[str]] = field(default_factory=dict)  # thread id: run ids that were accepted, in order
    watched: dict[str, Watched] = field(default_factory=dict)
    writes: int = 0


class Client:
    """One client of the service, who tries again in the server's next life what got no answer in this one."""

    def __init__(self, server: ServerProcess, chance: random.Random, ledger: Ledger) -> None:
        self._server = server
        self._chance = chance
        self.ledger = ledger
        self._unanswered: list[str] = []

    def work(self, seconds: float) -> None:
        """Ask for one thing after the other until the time is up; raises Down when the server is."""
        until = time.monotonic() + seconds
        with self._server.client() as client:
            self._client = client
            for key in list(self._unanswered):
                self._post_run(key)
            while time.monotonic() < until:
                self._chance.choice(self._things())()
                time.sleep(self._chance.uniform(0, 0.2))

    def _things(self) -> list[Callable[[], None]]:
        """What may be asked for next: no more runs while many are under way, or the rounds would take for ever."""
        less = [self._cancel, self._variable, self._thread, self._deploy]
        under_way = sum(not watched.over for watched in self.ledger.watched.values())
        return less if under_way >= UNDER_WAY else [self._run, self._run, self._thread_run, self._thread_run, *less]

    def _ask(self, method: str, path: str, *expected: int, **more: Any) -> Any:
        try:
            answer = self._client.request(method, path, **more)
        except httpx.HTTPError as gone:
            raise Down(str(gone)) from gone
        if answer.status_code == 503:  # starting, or stopping: nothing was done
            raise Down(answer.text)
        assert answer.status_code in expected, f"{method} {path}: {answer.status_code} {answer.text}"
        if method != "GET":
            self.ledger.writes += 1
        return answer.json() if answer.content else None

    def _run(self) -> None:
        key = f"key-{len(self.ledger.runs)}"
        name = self._chance.choice(["a.txt", "sub/b.txt"])
        steps: list[list[Any]] = [["count", LINES], ["write", name, key], ["say", key]]
        if self._chance.random() < 0.3:
            steps.insert(1, ["sleep", self._chance.uniform(0.1, 1.5)])
        self.ledger.runs[key] = {"deployment_id": "probe", "input": {"steps": steps}}
        self._post_run(key)

    def _post_run(self, key: str) -> None:
        request = {name: value for name, value in self.ledger.runs[key].items() if name != "run_id"}
        if key not in self._unanswered:
            self._unanswered.append(key)
        answer = self._ask("POST", "/v1/runs", 202, json=request, headers={"Idempotency-Key": key})
        self._unanswered.remove(key)
        self.ledger.runs[key]["run_id"] = answer["run_id"]
        self.ledger.watched[answer["run_id"]] = Watched(answer["run_id"])

    def _cancel(self) -> None:
        known = [run["run_id"] for run in self.ledger.runs.values() if "run_id" in run]
        if not known:
            return
        run_id = self._chance.choice(known[-4:])
        answer = self._ask("POST", f"/v1/runs/{run_id}/cancel", 200, 400)
        if "success" in answer:
            self.ledger.canceled.add(run_id)

    def _variable(self) -> None:
        name = f"V{self._chance.randrange(1000)}"
        self._ask("PUT", "/v1/deployments/probe/env", 200, json={"variables": {name: "x"}})
        self.ledger.variables.add(name)

    def _deploy(self) -> None:
        if len(self.ledger.versions) > 20:
            return
        pack = projects.pack({**projects.PROBE, "note.txt": str(len(self.ledger.versions))})
        answer = self._ask("POST", "/v1/deployments/probe/versions", 202, content=pack)
        self.ledger.versions.append(answer["version_id"])

    def _thread(self) -> None:
        if len(self.ledger.threads) < 5:
            answer = self._ask("POST", "/v1/threads", 201, json={"deployment_id": "chat"})
            self.ledger.threads[answer["thread_id"]] = []

    def _thread_run(self) -> None:
        if not self.ledger.threads:
            return
        thread_id = self._chance.choice(list(self.ledger.threads))
        body = {"input": {"message": f"m{self.ledger.writes}"}, "on_busy": self._chance.choice(["enqueue", "reject"])}
        answer = self._ask("POST", f"/v1/threads/{thread_id}/runs", 202, 409, json=body)
        if "run_id" in answer:
            self.ledger.threads[thread_id].append(answer["run_id"])
            self.ledger.watched[answer["run_id"]] = Watched(answer["run_id"])


def prepare(server: ServerProcess) -> None:
    """Deploy what the clients use."""
    with server.client() as client:
        api = Api(client)
        assert api.deploy("probe")["status"] == "ready"
        assert api.deploy("chat", projects.CHAT)["status"] == "ready"


def follow(server: ServerProcess, watched: Watched) -> None:
    """Read on from where it was cut, until the stream ends or the server does."""
    if watched.over:
        return
    headers = {"Last-Event-ID": watched.seen[-1]["id"]} if watched.seen else {}
    try:
        with (
            server.client() as client,
            client.stream("GET", f"/v1/runs/{watched.run_id}/events", headers=headers) as response,
        ):
            if response.status_code == 200:
                watched.seen.extend(parse(response.iter_lines()))
    except httpx.HTTPError:
        return


class Readers:
    """Some readers who follow whatever runs there are, while the server lives."""

    def __init__(self, server: ServerProcess, ledger: Ledger, count: int = 3) -> None:
        self._server = server
        self._ledger = ledger
        self._stop = threading.Event()
        self._taken: set[str] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(count)]

    def __enter__(self) -> "Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a reader hangs on a server that is gone"

    def _next(self) -> Watched | None:
        with self._lock:
            for run_id, watched in list(self._ledger.watched.items())[::-1]:
                if run_id not in self._taken and not watched.over:
                    self._taken.add(run_id)
                    return watched
        return None

    def _read(self) -> None:
        while not self._stop.is_set() and self._server.alive:
            if (watched := self._next()) is None:
                time.sleep(0.02)
            else:
                follow(self._server, watched)
