"""`crewship deployments …`"""

from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client


@click.group()
def deployments() -> None:
    """List, look at and delete deployments."""


@deployments.command("list")
@parameters.paged
@parameters.as_json
def list_(limit: int, offset: int, as_json: bool) -> None:
    """List deployments, newest first, and what is live.

    \b
    Example:
      crewship deployments list
    """
    answer = Client.connect().get("deployments", limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (
            item["name"],
            item["id"],
            item.get("framework"),
            _live(item, "production"),
            _live(item, "staging"),
            terminal.local_time(item["created_at"]),
        )
        for item in answer["deployments"]
    ]
    columns = ("NAME", "ID", "FRAMEWORK", "PRODUCTION", "STAGING", "CREATED")
    terminal.print_table(columns, rows, "No deployments. Make one: crewship deploy")


@deployments.command()
@click.argument("deployment", required=False)
@parameters.named
@parameters.as_json
def get(deployment: str | None, name: str | None, as_json: bool) -> None:
    """Show DEPLOYMENT.

    \b
    Example:
      crewship deployments get my-agent
    """
    item = Client.connect().get("deployments", parameters.deployment_name(deployment, name))
    if as_json:
        terminal.print_json(item)
        return
    facts = {key: value for key, value in item.items() if key != "environments"}
    for moment in ("created_at", "updated_at"):
        facts[moment] = terminal.local_time(item.get(moment))
    facts |= {environment: _live(item, environment) for environment in parameters.ENVIRONMENTS}
    terminal.print_facts(facts)


@deployments.command()
@click.argument("deployment")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@parameters.as_json
def delete(deployment: str, yes: bool, as_json: bool) -> None:
    """Delete DEPLOYMENT. Its name becomes free; the history of its runs stays.

    \b
    Example:
      crewship deployments delete my-agent --yes
    """
    client = Client.connect()
    item = client.get("deployments", deployment)
    if not yes:
        click.confirm(f"Delete {item['name']} ({item['id']})? It takes no runs any more", abort=True, err=True)
    client.delete("deployments", item["id"])
    if as_json:
        terminal.print_json({"id": item["id"], "deleted": True})
    else:
        terminal.say(f"Deleted {item['name']}")


def _live(item: dict[str, Any], environment: str) -> str:
    """The number of the version that is live there."""
    live = (item.get("environments") or {}).get(environment)
    return f"version {live['version_number']}" if live else ""
