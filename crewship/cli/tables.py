"""`crewship tables …`: tables, and by table_rows.py their rows."""

import re
from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import Mistake
from crewship.cli.table_rows import COMMANDS

TYPES = ("text", "number", "boolean", "date", "json")
_COLUMN = re.compile(rf"(?P<name>.+):(?P<type>{'|'.join(TYPES)})(?P<required>!?)")


@click.group()
def tables() -> None:
    """Keep rows that outlive runs: in tables with typed columns, filtered, imported and exported."""


for command in COMMANDS:
    tables.add_command(command)


def _column(text: str) -> dict[str, Any]:
    match = _COLUMN.fullmatch(text)
    if match is None:
        types = ", ".join(TYPES)
        raise Mistake(f"{text!r} is no column: write NAME:TYPE, with ! behind it if required; types are {types}")
    return {"name": match["name"], "type": match["type"], "required": bool(match["required"])}


def _shown(table: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(table)
        return
    facts = dict(table)
    facts["columns"] = "\n".join(map(_described, table["columns"]))
    facts["pending_columns"] = "\n".join(map(_described, table["pending_columns"] or []))
    for moment in ("created_at", "updated_at"):
        facts[moment] = terminal.local_time(table[moment])
    terminal.print_facts(facts)


def _described(column: dict[str, Any]) -> str:
    return f"{column['name']}:{column['type']}{'!' if column['required'] else ''}"


@tables.command()
@click.argument("name")
@click.argument("columns", nargs=-1, required=True, metavar="COLUMN:TYPE[!] …")
@click.option("--description", help="What it is for.")
@click.option("--deployment", metavar="DEPLOYMENT", help="Whose it is; else everybody's.")
@parameters.as_json
def create(name: str, columns: tuple[str, ...], description: str | None, deployment: str | None, as_json: bool) -> None:
    """Make the table NAME with these columns: text, number, boolean, date or json; ! for those that need a value.

    \b
    Examples:
      crewship tables create leads company:text! price:number seen:date
      crewship tables create notes text:text! tags:json --deployment support-agent
    """
    body: dict[str, Any] = {"name": name, "columns": [_column(text) for text in columns]}
    body |= {"description": description, "deployment_id": deployment}
    table = Client.connect().post_once("tables", body=body)
    terminal.print_json(table) if as_json else terminal.say(table["id"])


@tables.command("list")
@parameters.paged
@parameters.as_json
def list_(limit: int, offset: int, as_json: bool) -> None:
    """List the tables, newest first.

    \b
    Example:
      crewship tables list
    """
    answer = Client.connect().get("tables", limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (table["name"], table["id"], f"{table['row_count']:,}", ", ".join(map(_described, table["columns"])))
        for table in answer["tables"]
    ]
    empty = "No tables. Make one: crewship tables create leads company:text! price:number"
    terminal.print_table(("NAME", "ID", "ROWS", "COLUMNS"), rows, empty)


@tables.command()
@click.argument("table")
@parameters.as_json
def get(table: str, as_json: bool) -> None:
    """Show TABLE, named or by its id.

    \b
    Example:
      crewship tables get leads
    """
    _shown(Client.connect().get("tables", table), as_json)


@tables.command()
@click.argument("table")
@click.option("--rename", metavar="NAME", help="Another name.")
@click.option("--description", help="What it is for; empty for nothing.")
@click.option("--column", "changed", multiple=True, metavar="COLUMN:TYPE[!]", help="Add or change a column.")
@click.option("--drop", multiple=True, metavar="COLUMN", help="Drop a column and its values.")
@parameters.as_json
def update(
    table: str,
    rename: str | None,
    description: str | None,
    changed: tuple[str, ...],
    drop: tuple[str, ...],
    as_json: bool,
) -> None:
    """Change TABLE. Columns that some row does not fit are refused, and the row is named.

    \b
    Examples:
      crewship tables update leads --column price:number! --column note:text
      crewship tables update leads --drop note --rename customers
    """
    client = Client.connect()
    body: dict[str, Any] = {}
    if rename is not None:
        body["name"] = rename
    if description is not None:
        body["description"] = description or None
    if changed or drop:
        columns = {column["name"]: column for column in client.get("tables", table)["columns"]}
        if missing := [name for name in drop if name not in columns]:
            raise Mistake(f"{table} has no column {missing[0]}; it has {', '.join(columns)}")
        columns |= {column["name"]: column for column in map(_column, changed)}
        body["columns"] = [column for name, column in columns.items() if name not in drop]
    if not body:
        raise Mistake("nothing to change: give --column, --drop, --rename or --description")
    _shown(client.ask("PATCH", "tables", table, json=body), as_json)


@tables.command()
@click.argument("table")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@parameters.as_json
def delete(table: str, yes: bool, as_json: bool) -> None:
    """Delete TABLE and its rows.

    \b
    Example:
      crewship tables delete leads --yes
    """
    client = Client.connect()
    known = client.get("tables", table)
    if not yes:
        click.confirm(f"Delete {known['name']} and its {known['row_count']:,} rows?", abort=True, err=True)
    client.delete("tables", known["id"])
    if as_json:
        terminal.print_json({"id": known["id"], "deleted": True})
    else:
        terminal.say(f"Deleted {known['name']}")
