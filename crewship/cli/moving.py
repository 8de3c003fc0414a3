"""`crewship export` and `crewship import`: a whole installation, from one place to another."""

from pathlib import Path

import click

from crewship.cli import parameters, terminal
from crewship.cli.errors import Mistake


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--data", metavar="DIR", help="The data folder (CREWSHIP_DATA, else .data).")
@click.option("--log", metavar="URL", help="The log, where it is in PostgreSQL.")
@click.option("--without-key", is_flag=True, help="Leave installation.key out; import then asks for it.")
@parameters.as_json
def export(file: Path, data: str | None, log: str | None, without_key: bool, as_json: bool) -> None:
    """Write a whole installation to FILE: its log, keys and blobs. A server may be running.

    Whoever has FILE has every input, output and secret of the installation, unless it is written --without-key.

    \b
    Examples:
      crewship export crewship.tar --data /var/lib/crewship
      crewship export crewship.tar --data /var/lib/crewship --log postgresql://…
    """
    import msgspec

    from crewship.config import Settings
    from crewship.operations import moving

    moved = moving.export(Settings.load(data=data, log=log), file, with_key=not without_key)
    if as_json:
        terminal.print_json({"file": str(file), **msgspec.to_builtins(moved)})
        return
    terminal.say(f"Wrote {moved.events} events, {moved.keys} keys and {moved.blobs} blobs to {file}")
    if moved.with_key:
        terminal.note("It holds installation.key, and with it every secret: keep it as you keep the data folder.")
    else:
        terminal.note("It does not hold installation.key, without which nobody reads what is sealed: keep that too.")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--data", metavar="DIR", help="The data folder to make (CREWSHIP_DATA, else .data).")
@click.option("--log", metavar="URL", help="An empty PostgreSQL database for the log; else SQLite in the folder.")
@click.option("--key", type=click.Path(path_type=Path, exists=True), help="installation.key, where FILE is without.")
@parameters.as_json
@click.pass_context
def import_(ctx: click.Context, file: Path, data: str | None, log: str | None, key: Path | None, as_json: bool) -> None:
    """Make an installation from FILE in an empty place. Ids, positions and seals stay as they were.

    The server that was exported must not be started again beside it: both would be the same.

    \b
    Examples:
      crewship import crewship.tar --data /var/lib/crewship
      crewship import crewship.tar --data /var/lib/crewship --log postgresql://…
    """
    import msgspec

    from crewship.config import Settings
    from crewship.operations import moving

    settings = Settings.load(data=data, log=log)
    given = key.read_bytes() if key else None
    if given is not None and len(given) != 32:
        raise Mistake(f"{key} is no installation.key: it holds 32 bytes")
    moved = moving.bring_in(settings, file, given)
    if as_json:
        terminal.print_json({"data": str(settings.data), **msgspec.to_builtins(moved)})
    else:
        terminal.say(f"Made {settings.data} from {moved.events} events, {moved.keys} keys and {moved.blobs} blobs")
        for finding in moved.findings:
            terminal.say(f"❌ {terminal.harmless(finding)}", fg="red")
        if not moved.findings:
            terminal.note("The log is as it was sealed. Start it: crewship serve --data DIR")
    ctx.exit(1 if moved.findings else 0)
