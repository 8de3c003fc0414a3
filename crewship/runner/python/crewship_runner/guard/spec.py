"""The spec of a run, read from standard input: one JSON object.

{"run_id", "thread_id": str | null, "framework": "langgraph", "entrypoint": "graph:graph", "input": {...},
 "env": {NAME: value},               the complete environment of the child
 "app": "/app", "site": ["/site"],   working directory; further places to import from, after it (optional)
 "limits": {"timeout": seconds | null, "grace": seconds, "memory": bytes | null, "processes": int | null,
            "disk": bytes | null, "logs": bytes, "cpus": float | null},
 "watch": ["/app", "/tmp"],          folders whose size together counts against limits.disk
 "chat": {"input_key", "output_key": str | null} | null,
 "mode": "run" | "update_state",     all of what follows is for a run in a thread, and passed on as it is
 "thread": {"values": {...}, "head": checkpoint id | null,
            "checkpoints": [{"ns", "checkpoint_id", "parent_id", "data", "channels": {name: {"version", "data"}},
                             "writes": [{"task_id", "task_path", "writes": [[channel, data], ...]}]}],
            "older": [like checkpoints] | null},  null: GET /v1/threads/{id}/checkpoints has them, for the run's key
 "resume": {"value": ...} | null,
 "update": {"values": {...} | null, "as_node": str | null, "checkpoint_id": str | null}}

A warm sandbox gets one such object whose `run_id` is empty, in one line, and later the call: an object with `run_id`,
`thread_id`, `input`, and what else is the run's own (`mode`, `thread`, `resume`, `update`), and in `env` the variables
that are the run's own and join the others then.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from .journal import LOG_LIMIT

_CALL = ("run_id", "thread_id", "input", "thread", "resume", "mode", "update")
_JOB = ("framework", "entrypoint", "app", "chat", *_CALL)

GRACE = 10.0  # seconds, where the spec names none


class BadSpec(Exception):
    """The spec cannot be used; the message names the field and never quotes a value, which may be secret."""


class Limits(NamedTuple):
    """What a run may use; None stands for no limit. Seconds, bytes, counts, CPUs."""

    timeout: float | None
    grace: float
    memory: int | None
    processes: int | None
    disk: int | None
    logs: int
    cpus: float | None


class Spec(NamedTuple):
    """A run as the guard sees it; `job` is what the child is told."""

    env: dict[str, str]
    app: str
    limits: Limits
    watch: list[str]
    job: bytes


def read(data: bytes) -> Spec:
    """The spec in `data`. Raises BadSpec."""
    spec = _object(data, ("run_id", "framework", "entrypoint", "app"))
    env = _env(spec)
    job = {name: spec.get(name) for name in _JOB}
    job["site"] = _strings(spec, "site")
    return Spec(env, spec["app"], _limits(spec.get("limits")), _strings(spec, "watch"), json.dumps(job).encode())


def call(data: bytes) -> bytes:
    """What the child of a warm sandbox is told of its run, from the call in `data`. Raises BadSpec."""
    spec = _object(data, ("run_id",))
    return json.dumps({"env": _env(spec), **{name: spec.get(name) for name in _CALL}}).encode()


def _object(data: bytes, strings: tuple[str, ...]) -> dict[str, Any]:
    try:
        spec = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadSpec("the spec is not JSON") from error
    if not isinstance(spec, dict):
        raise BadSpec("the spec is not an object")
    for name in strings:
        if not isinstance(spec.get(name), str):
            raise BadSpec(f"{name} must be a string")
    return spec


def _env(spec: dict[str, Any]) -> dict[str, str]:
    env = spec.get("env")
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise BadSpec("env must be an object of strings")
    if any("\0" in name + value or "=" in name or not name for name, value in env.items()):
        raise BadSpec("env holds a name or a value that no environment can hold")
    return env


def _strings(spec: dict[str, Any], name: str) -> list[str]:
    value = spec.get(name) or []
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise BadSpec(f"{name} must be a list of strings")
    return value


def _limits(limits: Any) -> Limits:
    if limits is None:
        limits = {}
    if not isinstance(limits, dict):
        raise BadSpec("limits must be an object")

    def number(name: str) -> Any:
        value = limits.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0):
            raise BadSpec(f"limits.{name} must be a number and not below zero")
        return value

    def whole(name: str) -> int | None:
        value = number(name)
        return None if value is None else int(value)

    grace, logs = number("grace"), whole("logs")
    return Limits(
        timeout=number("timeout"),
        grace=GRACE if grace is None else grace,
        memory=whole("memory"),
        processes=whole("processes"),
        disk=whole("disk"),
        logs=LOG_LIMIT if logs is None else logs,
        cpus=number("cpus"),
    )
