"""How far a key reaches that does not reach everything: a run's own, and one that is bound to deployments.

What it may not see does not exist for it: a 404, in the words of one. Both are shut out of whatever does not say that
it knows of them, so a new route is closed to them until somebody has thought about it.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web

from crewship.api.context import PRINCIPAL, SERVICE
from crewship.commands import deployments, runs, tables, threads
from crewship.commands.keys import Principal
from crewship.eventlog import EventLog
from domain.deployment import Deployment
from domain.errors import Forbidden, NotFound

RunReach = Literal["itself", "its thread", "tables"]
"""What a run's key reaches: below its own run, below its thread, or rows of its deployment's or nobody's tables."""

Owner = Callable[[EventLog, str], Awaitable[str | None]]


async def _deployment(log: EventLog, reference: str) -> str | None:
    return (await deployments.find(log, reference))[0].id


async def _version(log: EventLog, reference: str) -> str | None:
    return (await deployments.version(log, reference))[0].deployment_id


async def _run(log: EventLog, reference: str) -> str | None:
    return (await runs.get(log, reference))[0].deployment_id


async def _thread(log: EventLog, reference: str) -> str | None:
    return (await threads.find(log, reference))[0].deployment_id


async def _table(log: EventLog, reference: str) -> str | None:
    return (await tables.find(log, reference))[0].deployment_id


OWNERS: dict[str, tuple[str, Owner]] = {
    "deployment": ("Deployment", _deployment),
    "version_id": ("Version", _version),
    "run_id": ("Run", _run),
    "thread_id": ("Thread", _thread),
    "table": ("Table", _table),
}
"""Of each place in a path: what stands there, and whose it is."""


async def check(request: web.Request, principal: Principal, scope: str, of_runs: RunReach, narrows: bool) -> None:
    """Whether the key reaches what the request names; raises Forbidden, or NotFound for what it must not see.

    `narrows` says that the handler itself looks at what a key is bound to.
    """
    if principal.run_id is not None:
        await _check_run(request, principal, scope, of_runs)
        return
    if scope not in principal.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}")
    if principal.deployment_ids is None or narrows:
        return
    if not await _owned(request, principal, shared=False):
        raise Forbidden("This API key is bound to deployments; this needs one that is not")


async def _check_run(request: web.Request, principal: Principal, scope: str, of_runs: RunReach) -> None:
    if of_runs == "tables":
        await _owned(request, principal, shared=True)
        return
    if scope not in principal.scopes:
        raise Forbidden(f"This API key lacks the scope {scope}")
    own, place = (principal.run_id, "run_id") if of_runs == "itself" else (principal.thread_id, "thread_id")
    if own is None or request.match_info.get(place) != own:
        raise Forbidden("A run's key reaches that run alone")


async def _owned(request: web.Request, principal: Principal, *, shared: bool) -> bool:
    """Whether the path names something that has an owner; raises NotFound if that is not one of the key's."""
    for place, (kind, owner) in OWNERS.items():
        reference = request.match_info.get(place)
        if reference is None:
            continue
        found = await owner(request.app[SERVICE].log, reference)
        if found is None and shared:
            return True
        if found is None or not principal.sees(found):
            raise NotFound(f"{kind} {reference[:80]} not found")
        return True
    return False


def bound_to(request: web.Request) -> tuple[str, ...] | None:
    """The deployments that the request's key is bound to; None: it reaches all there are."""
    bound = request[PRINCIPAL].deployment_ids
    return None if bound is None else tuple(sorted(bound))


def how_many(bound: tuple[str, ...] | None) -> int | None:
    """Of how many deployments a list is; None: of all."""
    return None if bound is None else len(bound)


def reaches_shared(request: web.Request) -> bool:
    """Whether the request's key reaches what belongs to no deployment."""
    principal = request[PRINCIPAL]
    return principal.deployment_ids is None or principal.run_id is not None


async def deployment_of(request: web.Request, reference: str) -> Deployment:
    """The deployment that an id or a name means, if the request's key reaches it; raises NotFound."""
    deployment, _ = await deployments.find(request.app[SERVICE].log, reference)
    if not request[PRINCIPAL].sees(deployment.id):
        raise NotFound(f"Deployment {reference[:80]} not found")
    return deployment


async def reachable(request: web.Request, reference: str) -> str:
    """A deployment's id or name for a command to find; raises NotFound if the request's key does not reach it."""
    if request[PRINCIPAL].deployment_ids is None:
        return reference
    return (await deployment_of(request, reference)).id
