"""`crewship serve`: the one command that is the server."""

import click


@click.command()
@click.option("--host", help="Where to listen (CREWSHIP_HOST, else 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="(CREWSHIP_PORT, else 4700)")
@click.option("--data", metavar="DIR", help="The data folder (CREWSHIP_DATA, else .data).")
@click.option("--executor", type=click.Choice(("auto", "local", "docker")), help="What runs are executed in.")
@click.option("--log", metavar="URL", help="postgresql://… for a log in PostgreSQL; else SQLite in the data folder.")
@click.option("--drain", metavar="TIME", help="On a stop, wait so long for running runs, like 5m.")
def serve(
    host: str | None, port: int | None, data: str | None, executor: str | None, log: str | None, drain: str | None
) -> None:
    """Run a Crewship server on this machine, until it is told to stop.

    \b
    Examples:
      crewship serve
      crewship serve --host 0.0.0.0 --data /var/lib/crewship --drain 5m
    """
    from crewship.config import Settings

    settings = Settings.load(host=host, port=port, data=data, executor=executor, log=log, drain=drain)

    from crewship.app import serve as run_server
    from crewship.cli import credentials

    # On a first start the user of this machine is logged in with the key that it makes.
    run_server(settings, credentials.save)
