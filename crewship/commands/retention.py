"""Rules of how long what ended runs hold is kept."""

from crewship.commands import deployments
from crewship.commands.deciding import decide
from crewship.eventlog import Author, Change, EventLog
from domain import retention as rules
from domain.errors import NotFound
from domain.retention import Rule


async def rule_of(log: EventLog, deployment: str | None) -> tuple[str | None, Rule]:
    """A deployment's own rule, or the installation's, and the deployment's id; raises NotFound if there is none."""
    deployment_id = (await deployments.find(log, deployment))[0].id if deployment else None
    retention, _ = await log.load(rules.stream(deployment_id), rules.evolve)
    if retention is None or retention.rule is None:
        whose = f"Deployment {deployment[:80]}" if deployment else "The installation"
        raise NotFound(f"{whose} has no retention rule of its own")
    return deployment_id, retention.rule


async def set_rule(log: EventLog, deployment: str | None, rule: Rule, author: Author) -> str | None:
    """Set a deployment's rule, or the installation's; returns the deployment's id."""

    async def attempt() -> str | None:
        found = await deployments.find(log, deployment) if deployment else None
        deployment_id = found[0].id if found else None
        held = [Change(found[0].id, found[1])] if found else []
        stream = rules.stream(deployment_id)
        retention, at = await log.load(stream, rules.evolve)
        if events := rules.set_rule(retention, deployment_id, rule):
            await log.append(*held, Change(stream, at, events), author=author)
        return deployment_id

    return await decide(attempt)


async def lift(log: EventLog, deployment: str | None, author: Author) -> None:
    """Take a rule away; a deployment without one goes by the installation's."""

    async def attempt() -> None:
        deployment_id = (await deployments.find(log, deployment))[0].id if deployment else None
        stream = rules.stream(deployment_id)
        retention, at = await log.load(stream, rules.evolve)
        if events := rules.lift(retention, deployment_id):
            await log.append(Change(stream, at, events), author=author)

    await decide(attempt)
