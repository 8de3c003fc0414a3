"""`crewship versions …` and `crewship promote`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import CommandError, Mistake

PAGE = 100


@click.group()
def versions() -> None:
    """List and look at the versions of a deployment."""


@versions.command("list")
@click.argument("deployment", required=False)
@parameters.named
@parameters.paged
@parameters.as_json
def list_(deployment: str | None, name: str | None, limit: int, offset: int, as_json: bool) -> None:
    """List the versions of DEPLOYMENT, newest first.

    \b
    Examples:
      crewship versions list
      crewship versions list my-agent --json
    """
    called = parameters.deployment_name(deployment, name)
    answer = Client.connect().get("deployments", called, "versions", limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (
            version["id"],
            version["version_number"],
            version["status"],
            ", ".join(version.get("environments") or []),
            terminal.local_time(version["created_at"]),
        )
        for version in answer["versions"]
    ]
    terminal.print_table(("ID", "VERSION", "STATUS", "LIVE IN", "CREATED"), rows, f"{called} has no versions yet.")


@versions.command()
@click.argument("version")
@parameters.named
@parameters.as_json
def get(version: str, name: str | None, as_json: bool) -> None:
    """Show one VERSION, by its id or, within a deployment, by its number.

    \b
    Examples:
      crewship versions get ver_abc123
      crewship versions get 3 --name my-agent
    """
    client = Client.connect()
    if version.isdecimal():
        _, version_id = rollback_target(client, version, name, Path())
        version = version_id or version
    shown = client.get("versions", version)
    if as_json:
        terminal.print_json(shown)
        return
    for moment in ("created_at", "built_at"):
        shown[moment] = terminal.local_time(shown.get(moment))
    shown["environments"] = ", ".join(shown.get("environments") or [])
    terminal.print_facts(shown)


@click.command()
@click.argument("deployment", required=False)
@parameters.named
@click.option("--from", "source", type=click.Choice(parameters.ENVIRONMENTS), default="staging", show_default=True)
@click.option("--to", "target", type=click.Choice(parameters.ENVIRONMENTS), default="production", show_default=True)
@parameters.as_json
def promote(deployment: str | None, name: str | None, source: str, target: str, as_json: bool) -> None:
    """Put live in one environment what is live in another, without a build.

    \b
    Examples:
      crewship promote
      crewship promote my-agent --from staging --to production
    """
    called = parameters.deployment_name(deployment, name)
    version = Client.connect().post("deployments", called, "promote", body={"from": source, "to": target})
    if as_json:
        terminal.print_json(version)
        return
    terminal.say(f"✅ Version {version['version_number']} of {called} is live in {target}", fg="green")


def rollback_target(client: Client, wanted: str, name: str | None, folder: Path) -> tuple[str, str | None]:
    """The deployment and the version that `--rollback` means; None is the version that was live before."""
    if wanted.startswith("dep_"):
        return wanted, None
    if wanted.startswith("ver_"):
        return str(client.get("versions", wanted)["deployment_id"]), wanted
    if not wanted.isascii() or not wanted.isdecimal():
        raise Mistake(f"--rollback {wanted}: give a version (ver_…), its number, or a deployment (dep_…)")
    called = parameters.deployment_name(None, name, folder)
    for version in _every(client, called):
        if version["version_number"] == int(wanted):
            return called, str(version["id"])
    raise CommandError(f"{called} has no version {wanted}: see `crewship versions list {called}`")


def _every(client: Client, deployment: str) -> Iterator[dict[str, Any]]:
    offset = 0
    while page := client.get("deployments", deployment, "versions", limit=PAGE, offset=offset)["versions"]:
        yield from page
        offset += len(page)
