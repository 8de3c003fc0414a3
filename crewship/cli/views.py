"""`crewship views …`: for whoever runs the server."""

import click

from crewship.cli import parameters, terminal
from crewship.cli.errors import Mistake


@click.group()
def views() -> None:
    """Rebuild the server's views from its log."""


@views.command()
@click.option("--data", metavar="DIR", help="The data folder (CREWSHIP_DATA, else .data).")
@click.option("--log", metavar="URL", help="The log, where it is in PostgreSQL.")
@parameters.as_json
def rebuild(data: str | None, log: str | None, as_json: bool) -> None:
    """Throw the views away and make them anew from the log, which is the only truth. Stop the server before.

    \b
    Example:
      crewship views rebuild --data /var/lib/crewship
    """
    from crewship.config import Settings

    settings = Settings.load(data=data, log=log)

    if settings.postgres is None and not (settings.data / "log.db").exists():
        raise Mistake(f"there is no log.db in {settings.data}: name the server's data folder with --data")

    from crewship.app import rebuild_views

    count = rebuild_views(settings)
    if as_json:
        terminal.print_json({"events": count, "data": str(settings.data)})
    else:
        terminal.say(f"Rebuilt the views in {settings.data} from {count} event{'' if count == 1 else 's'} of the log")
