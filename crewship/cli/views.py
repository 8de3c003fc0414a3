"""`crewship views …`: for whoever runs the server."""

import sys
import time
from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import CommandError, Mistake

LOOK_SECONDS = 0.2


@click.group()
def views() -> None:
    """Rebuild the server's views from its log."""


@views.command()
@click.option("--data", metavar="DIR", help="Of a stopped server: its data folder.")
@click.option("--log", metavar="URL", help="Of a stopped server: the log, where it is in PostgreSQL.")
@parameters.as_json
def rebuild(data: str | None, log: str | None, as_json: bool) -> None:
    """Make the views anew from the log, which is the only truth.

    A running server makes them beside the old ones and switches over when they are as far; it answers all the while.
    With --data or --log the server must be stopped.

    \b
    Examples:
      crewship views rebuild
      crewship views rebuild --data /var/lib/crewship
    """
    if data or log:
        _of_a_stopped_server(data, log, as_json)
    else:
        _of_the_running_server(as_json)


def _of_the_running_server(as_json: bool) -> None:
    client = Client.connect()
    shown = client.post("views", "rebuild")
    while shown["rebuild"]["state"] == "running":
        if sys.stderr.isatty() and not as_json:
            told = f"evt_{shown['rebuild']['position']:03d} of evt_{shown['position']:03d}"
            click.echo(f"\r{told}", err=True, nl=False)
        time.sleep(LOOK_SECONDS)
        shown = client.get("views")
    rebuilt: dict[str, Any] = shown["rebuild"]
    if rebuilt["state"] == "failed":
        raise CommandError(f"the views were not rebuilt, the old ones go on: {rebuilt['error']}")
    if as_json:
        terminal.print_json(shown)
    else:
        terminal.say(f"Rebuilt the views of {client.url} from {_counted(rebuilt['events'])} of the log")


def _of_a_stopped_server(data: str | None, log: str | None, as_json: bool) -> None:
    from crewship.config import Settings

    settings = Settings.load(data=data, log=log)

    if settings.postgres is None and not (settings.data / "log.db").exists():
        raise Mistake(f"there is no log.db in {settings.data}: name the server's data folder with --data")

    from crewship.app import rebuild_views

    count = rebuild_views(settings)
    if as_json:
        terminal.print_json({"events": count, "data": str(settings.data)})
    else:
        terminal.say(f"Rebuilt the views in {settings.data} from {_counted(count)} of the log")


def _counted(events: int) -> str:
    return f"{events} event{'' if events == 1 else 's'}"
