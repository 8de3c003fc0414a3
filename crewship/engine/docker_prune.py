"""Which images go: those of versions that nobody keeps, and then what only those stood on."""

import time
from typing import Any

from crewship.engine import docker_state
from crewship.engine.docker_engine import Engine, EngineRefused

YOUNG_SECONDS = 3600.0  # what was built within this time is never pruned: nobody may have heard of it yet


async def prune(engine: Engine, server_id: str, runner: str, keep: set[str], young: float) -> list[str]:
    """Remove the images of this server that no version in `keep` needs; the names of those that went.

    The engine itself refuses to remove what a container uses or another image stands on; nothing is forced.
    """
    query = {"filters": docker_state.filters(server_id=server_id)}
    images: list[dict[str, Any]] = await engine.json("GET", "images/json", query=query)
    gone: list[str] = []

    async def remove(image: dict[str, Any]) -> bool:
        names = [] if time.time() - image["Created"] < young else image["RepoTags"] or []
        removed = [name for name in names if await _removed(engine, name)]
        gone.extend(removed)
        return bool(removed)

    needed = set()  # environments of versions that stay, whether they are kept or could not be removed
    for labels, image in _of(images, "version"):
        if labels.get(docker_state.VERSION) in keep or not await remove(image):
            needed.add(labels.get(docker_state.ENVIRONMENT))
    for labels, image in _of(images, "environment"):
        if labels.get(docker_state.ENVIRONMENT) not in needed:
            await remove(image)
    for labels, image in _of(images, "runner"):
        if labels.get(docker_state.RUNNER) != runner:
            await remove(image)
    return gone


def _of(images: list[dict[str, Any]], kind: str) -> list[tuple[dict[str, str], dict[str, Any]]]:
    return [(image["Labels"], image) for image in images if image["Labels"].get(docker_state.KIND) == kind]


async def _removed(engine: Engine, name: str) -> bool:
    try:
        await engine.json("DELETE", f"images/{name}")
    except EngineRefused as refused:
        if refused.status not in (404, 409):
            raise
        return False
    return True
