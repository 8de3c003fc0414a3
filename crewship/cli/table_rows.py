"""The commands of `crewship tables …` that are about rows."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from crewship.cli import parameters, table_files, terminal
from crewship.cli.client import Client
from crewship.cli.errors import CommandError, Mistake, Refused
from crewship.cli.table_files import FORMATS, Format

AT_ONCE = 100
LARGEST_BATCH = 2 * 1024 * 1024
OPERATORS = {"=": "", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "~": "contains"}
_WHERE = re.compile(r"(?P<column>[^=!<>~]+)(?P<operator>!=|>=|<=|=|>|<|~)(?P<value>.*)", re.DOTALL)
_ROW = re.compile(r"row (\d+)(?=[, ])")


def _filters(where: tuple[str, ...]) -> dict[str, list[str]]:
    """`price>=10` as the API takes it: `filter[price][gte]=10`."""
    filters: dict[str, list[str]] = {}
    for text in where:
        match = _WHERE.fullmatch(text)
        if match is None:
            raise Mistake(f"{text!r} is no condition: write it like price>=10, company=Acme or company~cm")
        operator = OPERATORS[match["operator"]]
        name = f"filter[{match['column'].strip()}]" + (f"[{operator}]" if operator else "")
        filters.setdefault(name, []).append(match["value"])
    return filters


@click.command()
@click.argument("table")
@click.option("--where", multiple=True, metavar="CONDITION", help="Like price>=10, company!=Acme, company~cm.")
@click.option("--sort", metavar="COLUMNS", help="Like price or -price,company.")
@parameters.paged
@parameters.as_json
def rows(table: str, where: tuple[str, ...], sort: str | None, limit: int, offset: int, as_json: bool) -> None:
    """Show rows of TABLE, newest first.

    \b
    Examples:
      crewship tables rows leads
      crewship tables rows leads --where 'price>=10' --where 'company~cm' --sort=-price
    """
    client = Client.connect()
    params: dict[str, Any] = {**_filters(where), "sort": sort, "limit": limit, "offset": offset}
    answer = client.ask("GET", "tables", table, "rows", params=params)
    if as_json:
        terminal.print_json(answer)
        return
    columns = [column["name"] for column in client.get("tables", table)["columns"]]
    cells = [(row["id"], *(row.get(name) for name in columns)) for row in answer["rows"]]
    terminal.print_table(("ID", *columns), cells, "No rows.")


@click.command()
@click.argument("table")
@click.argument("row", metavar="JSON|@FILE|-")
@parameters.as_json
def insert(table: str, row: str, as_json: bool) -> None:
    """Add a row to TABLE and print its id.

    \b
    Example:
      crewship tables insert leads '{"company": "Acme", "price": 9.5}'
    """
    made = Client.connect().post_once("tables", table, "rows", body=parameters.run_input(row))
    terminal.print_json(made) if as_json else terminal.say(made["id"])


@click.command("set")
@click.argument("table")
@click.argument("row_id")
@click.argument("values", metavar="JSON|@FILE|-")
@parameters.as_json
def set_(table: str, row_id: str, values: str, as_json: bool) -> None:
    """Give the row ROW_ID of TABLE other values in some columns; null for none.

    \b
    Example:
      crewship tables set leads row_abc123 '{"price": null}'
    """
    body = parameters.run_input(values)
    changed = Client.connect().ask("PATCH", "tables", table, "rows", row_id, json=body)
    terminal.print_json(changed) if as_json else terminal.say(f"Changed {row_id}")


@click.command()
@click.argument("table")
@click.argument("row_id")
@parameters.as_json
def remove(table: str, row_id: str, as_json: bool) -> None:
    """Remove the row ROW_ID from TABLE.

    \b
    Example:
      crewship tables remove leads row_abc123
    """
    Client.connect().delete("tables", table, "rows", row_id)
    terminal.print_json({"id": row_id, "deleted": True}) if as_json else terminal.say(f"Removed {row_id}")


@click.command("import")
@click.argument("table")
@click.argument("file")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="Else by the file's name.")
@parameters.as_json
def import_(table: str, file: str, kind: Format | None, as_json: bool) -> None:
    """Add the rows of FILE (- for stdin) to TABLE: CSV with a line of columns, or a JSON object a line.

    \b
    Examples:
      crewship tables import leads leads.csv
      zcat leads.jsonl.gz | crewship tables import leads - --format jsonl
    """
    kind = table_files.format_of(file, kind)
    client = Client.connect()
    known = client.get("tables", table)
    columns = {column["name"]: column["type"] for column in known["columns"]}
    done = 0
    with _opened(file) as lines:
        for batch in _batches(table_files.read(lines, kind, columns, file)):
            try:
                client.post_once("tables", known["id"], "rows", body=batch)
            except Refused as refusal:
                raise _placed(refusal, done, len(batch)) from None
            done += len(batch)
            _progress(done)
    _progress(None)
    if as_json:
        terminal.print_json({"table_id": known["id"], "imported": done})
    else:
        terminal.say(f"Imported {done:,} rows into {known['name']}")


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in lists that one request takes."""
    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        length = len(json.dumps(row))
        if batch and (len(batch) == AT_ONCE or size + length > LARGEST_BATCH):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch


def _placed(refusal: Refused, done: int, size: int) -> CommandError:
    """The refusal, with the row's number in the file, counted from 1, and what was kept before it."""

    def numbered(match: re.Match[str]) -> str:
        return f"row {done + 1 + int(match[1])}"

    message = _ROW.sub(numbered, refusal.message, count=1)
    if size == 1:
        message = re.sub(r"^row(?=[, ])", f"row {done + 1}", message)
    return CommandError(f"{message}; the {done:,} rows before that batch were imported, leave them out next time")


@click.command()
@click.argument("table")
@click.option("-o", "--output", default="-", metavar="FILE", help="Else stdout.")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="Else by the file's name; csv on stdout.")
@click.option("--where", multiple=True, metavar="CONDITION", help="Like price>=10, company!=Acme, company~cm.")
@parameters.as_json
def export(table: str, output: str, kind: Format | None, where: tuple[str, ...], as_json: bool) -> None:
    """Write the rows of TABLE, oldest first: CSV with their ids, or JSON lines with all that is known of them.

    \b
    Examples:
      crewship tables export leads -o leads.csv
      crewship tables export leads --format jsonl --where 'price>=10' | gzip > leads.jsonl.gz
    """
    if as_json:
        kind = "jsonl"
    kind = "csv" if output == "-" and kind is None else table_files.format_of(output, kind)
    client = Client.connect()
    known = client.get("tables", table)
    found = _all_rows(client, known["id"], _filters(where))
    columns = [column["name"] for column in known["columns"]]
    if output == "-":
        table_files.write(sys.stdout, kind, columns, found)
        return
    with Path(output).open("w", encoding="utf-8", newline="") as file:
        count = table_files.write(file, kind, columns, found)
    _progress(None)
    terminal.note(f"Wrote {count:,} rows to {output}")


def _all_rows(client: Client, table_id: str, filters: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
    after: int | None = None
    count = 0
    while True:
        params: dict[str, Any] = {**filters, "sort": "_meta.created_at", "limit": AT_ONCE, "after": after}
        page = client.ask("GET", "tables", table_id, "rows", params=params)
        yield from page["rows"]
        count += len(page["rows"])
        _progress(count)
        after = page["next_after"]
        if after is None:
            return


@contextmanager
def _opened(file: str) -> Iterator[IO[str]]:
    if file == "-":
        sys.stdin.reconfigure(encoding="utf-8-sig", newline="")  # type: ignore[union-attr]  # a text stream, as click leaves it
        yield sys.stdin
        return
    with Path(file).open(encoding="utf-8-sig", newline="") as lines:
        yield lines


def _progress(count: int | None) -> None:
    """How far it got, on a terminal, over and over on one line; None clears it."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" if count is None else f"\r{count:,} rows")
        sys.stderr.flush()


COMMANDS = (rows, insert, set_, remove, import_, export)
