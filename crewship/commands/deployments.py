"""Deployments and their versions."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from crewship import ids
from crewship.commands.deciding import decide, insist
from crewship.commands.idempotency import Idempotency, made, making
from crewship.eventlog import Author, Change, EventLog
from domain import deployment as rules
from domain import name as names
from domain import variables as variable_rules
from domain import version as version_rules
from domain.deployment import Active, Deployment, Environment
from domain.errors import BadRequest, Conflict, NotFound
from domain.version import Version

ID_PREFIX = "dep_"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An uploaded project: where it lies, and its manifest's part for this deployment."""

    source_sha256: str
    size: int
    files: int
    manifest: dict[str, Any]
    framework: str


async def find(log: EventLog, reference: str) -> tuple[Deployment, int]:
    """The deployment that an id or a name means, and the version of its stream; raises NotFound."""
    deployment_id = reference
    if not reference.startswith(ID_PREFIX):
        name, _ = await log.load(names.stream(reference), names.evolve)
        deployment_id = (name and name.deployment_id) or ""
    deployment, at = await log.load(deployment_id, rules.evolve) if deployment_id else (None, 0)
    if deployment is None or deployment.deleted:
        raise NotFound(f"Deployment {reference[:80]} not found")
    return deployment, at


async def create(log: EventLog, name: str, author: Author, idempotency: Idempotency | None = None) -> str:
    """Give a project its name; returns the new deployment's id."""
    if not NAME.fullmatch(name):
        raise BadRequest("name: 1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit")
    if name.startswith(ID_PREFIX):
        raise BadRequest(f"name: what begins with {ID_PREFIX} is an id")

    async def attempt() -> str:
        if (earlier := await made(log, idempotency)) is not None:
            return earlier
        claim, at = await log.load(names.stream(name), names.evolve)
        if claim is not None and claim.deployment_id is not None:
            raise Conflict(f"A deployment named {name} exists already", deployment_id=claim.deployment_id)
        deployment_id = ids.new("dep")
        await log.append(
            Change(names.stream(name), at, [names.NameClaimed(name=name, deployment_id=deployment_id)]),
            Change(deployment_id, 0, [rules.DeploymentCreated(deployment_id=deployment_id, name=name)]),
            *making(idempotency, deployment_id),
            author=author,
        )
        return deployment_id

    return await decide(attempt)


async def delete(
    log: EventLog, reference: str, count_unfinished: Callable[[str], Awaitable[int]], author: Author
) -> None:
    """Take a deployment at rest out of service; its name is free again.

    It is closed first, which no run's creation outlasts, so that the count of unfinished runs is final.
    """

    async def close() -> str:
        deployment, at = await find(log, reference)
        if closed := rules.close(deployment):
            await log.append(Change(deployment.id, at, closed), author=author)
        return deployment.id

    deployment_id = await decide(close)
    unfinished = await count_unfinished(deployment_id)

    async def attempt() -> None:
        deployment, at = await find(log, deployment_id)
        _, name_at = await log.load(names.stream(deployment.name), names.evolve)
        events = rules.delete(deployment, unfinished)
        released = [] if unfinished else [names.NameReleased(name=deployment.name)]
        name_change = Change(names.stream(deployment.name), name_at, released)
        await log.append(Change(deployment.id, at, events), name_change, author=author)
        if unfinished:
            raise rules.in_use(deployment, unfinished)

    await decide(attempt)


async def add_version(
    log: EventLog,
    reference: str,
    environment: Environment,
    snapshot: Snapshot,
    author: Author,
    idempotency: Idempotency | None = None,
) -> tuple[str, int]:
    """Record a snapshot as the deployment's next version, to be built; returns its id and number."""

    async def attempt() -> tuple[str, int]:
        if (earlier := await made(log, idempotency)) is not None:
            return earlier, (await version(log, earlier))[0].number
        deployment, at = await find(log, reference)
        version_id = ids.new("ver")
        numbered = rules.number(deployment, version_id, environment, snapshot.framework)
        created = version_rules.VersionCreated(
            version_id=version_id,
            deployment_id=deployment.id,
            version_number=numbered.version_number,
            environment=environment,
            source_sha256=snapshot.source_sha256,
            size=snapshot.size,
            files=snapshot.files,
            manifest=snapshot.manifest,
        )
        await log.append(
            Change(deployment.id, at, [numbered]),
            Change(version_id, 0, [created]),
            *making(idempotency, version_id),
            author=author,
        )
        return version_id, numbered.version_number

    return await insist(attempt)


async def version(log: EventLog, version_id: str) -> tuple[Version, int]:
    """A version and where its stream stands; raises NotFound."""
    found, at = await log.load(version_id, version_rules.evolve) if version_id.startswith("ver_") else (None, 0)
    if found is None:
        raise NotFound(f"Version {version_id[:80]} not found")
    return found, at


async def finish_build(log: EventLog, version_id: str, author: Author) -> None:
    """A version was built: it is ready and goes live where nothing newer is."""

    async def attempt() -> None:
        built, at = await version(log, version_id)
        deployment, deployment_at = await log.load(built.deployment_id, rules.evolve)
        if deployment is None:
            raise NotFound(f"Deployment {built.deployment_id} not found")
        activation, note = rules.activate(deployment, built.environment, version_id)
        ready = version_rules.finish(built, bool(activation), note)
        if ready:
            await log.append(
                Change(deployment.id, deployment_at, activation), Change(version_id, at, ready), author=author
            )

    await insist(attempt)


async def fail_build(log: EventLog, version_id: str, error: str, author: Author) -> None:
    """A version cannot be built."""

    async def attempt() -> None:
        built, at = await version(log, version_id)
        if failed := version_rules.fail(built, error):
            await log.append(Change(version_id, at, failed), author=author)

    await insist(attempt)


async def roll_back(
    log: EventLog, reference: str, environment: Environment, version_id: str | None, author: Author
) -> str:
    """Go back to a version, or to the one before; returns the id of the version now live."""

    async def attempt() -> str:
        deployment, at = await find(log, reference)
        if version_id is not None and version_id in deployment.numbers:
            target, _ = await version(log, version_id)
            if target.status != "ready":
                raise BadRequest(f"Version {target.number} is {target.status} and cannot go live")
        moved = rules.roll_back(deployment, environment, version_id)
        await log.append(Change(deployment.id, at, moved), author=author)
        return _live_after(deployment, moved, environment).version_id

    return await decide(attempt)


async def promote(log: EventLog, reference: str, source: Environment, target: Environment, author: Author) -> str:
    """What is live in one environment goes live in another; returns its id."""

    async def attempt() -> str:
        deployment, at = await find(log, reference)
        moved = rules.promote(deployment, source, target)
        if moved:
            await log.append(Change(deployment.id, at, moved), author=author)
        return _live_after(deployment, moved, target).version_id

    return await decide(attempt)


def _live_after(deployment: Deployment, moved: list[rules.DeploymentEvent], environment: Environment) -> Active:
    for event in moved:
        deployment = rules.evolve(deployment, event)
    return rules.live_version(deployment, environment)


async def set_variables(log: EventLog, reference: str, values: dict[str, str], author: Author) -> str:
    """Give variables new values from the next run on; returns the deployment's id."""

    async def attempt() -> str:
        deployment, _ = await find(log, reference)
        stream = variable_rules.stream(deployment.id)
        variables, at = await log.load(stream, variable_rules.evolve)
        changed = variable_rules.set_values(variables, deployment.id, values)
        await log.append(Change(stream, at, changed), author=author)
        return deployment.id

    return await decide(attempt)


async def unset_variable(log: EventLog, reference: str, name: str, author: Author) -> None:
    """Take a variable away from the next run on."""

    async def attempt() -> None:
        deployment, _ = await find(log, reference)
        stream = variable_rules.stream(deployment.id)
        variables, at = await log.load(stream, variable_rules.evolve)
        await log.append(Change(stream, at, variable_rules.unset(variables, deployment.id, name)), author=author)

    await decide(attempt)


async def variables_of(log: EventLog, deployment_id: str) -> dict[str, str]:
    """The values that a run of this deployment gets. For the engine alone."""
    variables, _ = await log.load(variable_rules.stream(deployment_id), variable_rules.evolve)
    return variables.values if variables else {}
