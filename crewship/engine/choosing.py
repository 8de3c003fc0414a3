"""Which executor a server has: Docker where an engine answers, else the sandbox of this machine."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import structlog

from crewship.config import Settings
from crewship.engine.containers import DockerExecutor
from crewship.engine.docker_engine import Engine, EngineProblem
from crewship.engine.docker_network import BadRule, allowed
from crewship.engine.environments import LocalBuilder
from crewship.engine.executor import Builder, Executor
from crewship.engine.images import DockerBuilder
from crewship.engine.local import LocalExecutor
from domain.errors import BadRequest, Unavailable

logger = structlog.get_logger(__name__)


class Chosen(NamedTuple):
    """What builds versions and runs them. `gateway` is where containers find this machine; None for local runs."""

    builder: Builder
    executor: Executor
    described: str
    gateway: str | None = None
    images: DockerBuilder | None = None


async def choose(settings: Settings, data: Path, server_id: str, port: int, stack: AsyncExitStack) -> Chosen:
    """The executor that the settings ask for, open until the stack unwinds; `port` is the API's."""
    if settings.executor != "local":
        try:
            return await _docker(settings, data, server_id, port, stack)
        except EngineProblem as problem:
            if settings.executor == "docker":
                raise Unavailable(f"--executor docker: {problem}") from None
    return await _local(data, server_id, stack)


async def _local(data: Path, server_id: str, stack: AsyncExitStack) -> Chosen:
    builder = LocalBuilder(data)
    executor = LocalExecutor(data, builder, server_id)
    await executor.open()
    stack.push_async_callback(executor.close)
    if executor.warning:
        logger.warning(executor.warning)
    kept_apart = "not isolated" if executor.warning else "bubblewrap"
    return Chosen(builder, executor, f"local, {kept_apart}, limits by {executor.limits_by}")


async def _docker(settings: Settings, data: Path, server_id: str, port: int, stack: AsyncExitStack) -> Chosen:
    try:
        for entry in settings.egress_allow:
            allowed(entry)
    except BadRule as rule:
        raise BadRequest(f"CREWSHIP_EGRESS_ALLOW: {rule}") from None
    engine = Engine(settings.docker_host)
    builder = DockerBuilder(engine, data, server_id, base_images=settings.base_images, node_images=settings.node_images)
    executor = DockerExecutor(engine, builder, data, server_id, api_port=port, allow=settings.egress_allow)
    try:
        await engine.open()
        logger.info("a Docker engine answers: runs will be containers (a first start fetches a base image)")
        await executor.open()
    except BaseException:
        await executor.close()
        raise
    stack.push_async_callback(executor.close)
    if executor.warning:
        logger.warning(executor.warning)
    described = f"Docker, limits by {executor.limits_by}"
    return Chosen(builder, executor, described, gateway=executor.gateway, images=builder)
