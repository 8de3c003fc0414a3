"""What the engine says about a container, and the labels by which ours are known."""

from typing import Any

import msgspec

from crewship.engine.docker_engine import Engine, EngineRefused

SERVER = "crewship.server_id"
RUN = "crewship.run_id"
DEPLOYMENT = "crewship.deployment_id"
VERSION = "crewship.version_id"
KIND = "crewship.kind"  # of an image: runner, environment, version; of a container: run, build, probe
RUNNER = "crewship.runner"  # of an image: the digest of the runner in it
PYTHON = "crewship.python"  # of an image: the guard's interpreter, which no build could change, and how it is started
NODE = "crewship.node"  # of an image: the Node that belongs to the base; absent where programs are Python's
ENVIRONMENT = "crewship.environment"  # of an image: the key of the dependencies in it
SITE = "crewship.site"  # of an image: where the project is installed as a package; empty where it is none


class State(msgspec.Struct, frozen=True):
    """A container as it stands. `status` is Docker's: created, running, exited, dead …"""

    id: str
    status: str
    running: bool
    out_of_memory: bool
    finished_at: str
    labels: dict[str, str]


async def state(engine: Engine, container: str) -> State | None:
    """The container of that name or id; None if there is none. Raises EngineAway."""
    try:
        found: dict[str, Any] = await engine.json("GET", f"containers/{container}/json")
    except EngineRefused as refused:
        if refused.status == 404:
            return None
        raise
    told = found["State"]
    return State(
        id=found["Id"],
        status=told["Status"],
        running=bool(told["Running"]),
        out_of_memory=bool(told.get("OOMKilled")),
        finished_at=told.get("FinishedAt") or "",
        labels=found["Config"].get("Labels") or {},
    )


def filters(**labels: str) -> dict[str, list[str]]:
    """Docker's filter for things that carry all these labels; names without their `crewship.`."""
    return {"label": [f"crewship.{name}={value}" for name, value in labels.items()]}


async def discard(engine: Engine, container: str) -> None:
    """End and remove a container with its anonymous volumes; nothing if there is none. Raises EngineAway."""
    try:
        await engine.json("DELETE", f"containers/{container}", query={"force": True, "v": True})
    except EngineRefused as refused:
        # 409: somebody removes it already.
        if refused.status not in (404, 409):
            raise
