"""What commands write: results on stdout, notes on stderr; colours and drawn tables on a terminal only."""

import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click


def note(text: str) -> None:
    """A remark for a person; it never gets into what a machine reads."""
    click.echo(_coloured(text, sys.stderr, fg="bright_black"), err=True)


def say(text: str, **style: Any) -> None:
    """A line of the result, in that style (as click.style takes it) on a terminal."""
    click.echo(_coloured(text, sys.stdout, **style))


def print_json(value: Any) -> None:
    """The value as JSON, laid out for reading."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_line(value: Any) -> None:
    """The value as JSON on one line."""
    click.echo(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], empty: str) -> None:
    """Rows under their columns, or on stderr what `empty` says."""
    if not rows:
        note(empty)
        return
    cells = [[_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells)
        return
    table = [list(columns), *cells]
    widths = [max(len(row[at]) for row in table) for at in range(len(columns))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: dict[str, Any]) -> None:
    """One thing: each of its facts on a line."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        lines = _cell(value).splitlines() or ["-"]
        for at, line in enumerate(lines):
            click.echo(f"{(name if at == 0 else '').ljust(width)}  {line}")


def local_time(moment: str | None) -> str:
    """The API's time in this machine's zone; empty where there is none, unchanged where it is no time."""
    if not moment:
        return ""
    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return moment


def size(count: int) -> str:
    """Bytes for a person: 1.4 MB."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def seconds(milliseconds: int | float | None) -> str:
    """A duration for a person: 45.2s, 2m 05s, 1h 02m; empty where there is none."""
    if milliseconds is None:
        return ""
    total = milliseconds / 1000
    if total < 99.95:
        return f"{total:.1f}s"
    minutes, rest = divmod(round(total), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s"


def harmless(text: str) -> str:
    """The text without what could steer a terminal; tabs and line ends stay."""
    return "".join(c if c in "\t\n" or unicodedata.category(c) != "Cc" else "�" for c in text)


def one_line(value: Any, most: int = 200) -> str:
    """The value as JSON on one line, cut where it gets long."""
    text = harmless(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= most else text[: most - 1] + "…"


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return harmless(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _coloured(text: str, stream: Any, **style: Any) -> str:
    colours = bool(style) and stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return click.style(text, **style) if colours else text


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for at, name in enumerate(columns):
        table.add_column(name, no_wrap=at == 0, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)
