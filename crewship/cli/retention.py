"""`crewship retention …`: how long what ended runs hold is kept."""

from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import Mistake

WHOSE = click.option("--deployment", metavar="NAME", help="The rule of this deployment; else of the installation.")
UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@click.group()
def retention() -> None:
    """Say how long what ended runs hold is kept; then it is erased, and only that they were stays."""


@retention.command("set")
@WHOSE
@click.option("--older-than", callback=parameters.duration, metavar="TIME", help="Erase what ended longer ago: 30d.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Erase all but the newest N of each deployment.")
@parameters.as_json
def set_(deployment: str | None, older_than: float | None, keep: int | None, as_json: bool) -> None:
    """Erase ended runs by age, by number, or by both. A deployment's own rule counts in place of the installation's.

    Runs that are under way stay, and the last run of a thread that was not deleted.

    \b
    Examples:
      crewship retention set --older-than 90d
      crewship retention set --deployment support --older-than 30d --keep 1000
    """
    if older_than is None and keep is None:
        raise Mistake("say what goes: --older-than 30d, --keep 1000, or both")
    if older_than is not None and older_than != int(older_than):
        raise Mistake("--older-than: give whole seconds")
    body = {"older_than_seconds": None if older_than is None else int(older_than), "keep": keep}
    _show(Client.connect().put(*_path(deployment), body=body), as_json)


@retention.command()
@WHOSE
@parameters.as_json
def get(deployment: str | None, as_json: bool) -> None:
    """Show the rule.

    \b
    Example:
      crewship retention get --deployment support
    """
    _show(Client.connect().get(*_path(deployment)), as_json)


@retention.command()
@WHOSE
@parameters.as_json
def unset(deployment: str | None, as_json: bool) -> None:
    """Take the rule away: nothing is erased by it any more.

    \b
    Example:
      crewship retention unset --deployment support
    """
    Client.connect().delete(*_path(deployment))
    if as_json:
        terminal.print_json({"deployment": deployment, "rule": None})
    else:
        terminal.say(f"{deployment or 'The installation'} has no rule of its own now")


def _path(deployment: str | None) -> tuple[str, ...]:
    return ("deployments", deployment, "retention") if deployment else ("retention",)


def _show(rule: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(rule)
        return
    terminal.say(f"Rule of {rule['deployment_id'] or 'the installation'}: ended runs are erased")
    if rule["older_than_seconds"] is not None:
        terminal.say(f"  once they ended more than {_time(rule['older_than_seconds'])} ago")
    if rule["keep"] is not None:
        terminal.say(f"  once {rule['keep']} newer ones are kept")


def _time(seconds: int) -> str:
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"
