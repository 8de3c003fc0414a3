"""Rows as files: CSV and JSON lines, read and written one at a time, however many there are."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from crewship.cli.errors import Mistake

Format = Literal["csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl")
LARGEST_CELL = 1024 * 1024
RESERVED = ("id", "_meta")
"""What a row that was exported holds beside its columns; it is passed over."""


def format_of(file: str, given: Format | None) -> Format:
    """The format that is meant: as given, else by the file's name."""
    if given is not None:
        return given
    suffix = Path(file).suffix.lower()
    if suffix == ".csv":
        return "csv"
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    raise Mistake(f"is {file} CSV or JSON lines? Say so with --format csv or --format jsonl")


def read(lines: IO[str], kind: Format, columns: Mapping[str, str], source: str) -> Iterator[dict[str, Any]]:
    """The rows of a file; `columns` are the table's types by name. An empty cell of a CSV is no value."""
    return _read_csv(lines, columns, source) if kind == "csv" else _read_json_lines(lines, source)


def _read_csv(lines: IO[str], columns: Mapping[str, str], source: str) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(lines, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        unknown = [name for name in header if name not in columns and name not in RESERVED]
        if not header or unknown:
            what = f"the table has no column {unknown[0]!r}" if unknown else "the file is empty"
            raise Mistake(f"{source}: {what}; its first line names columns of {', '.join(columns)}")
        for cells in reader:
            if cells:
                yield _row(header, cells, columns, f"{source}, line {reader.line_num}")
    except csv.Error as error:
        raise Mistake(f"{source}, line {reader.line_num}: {error}") from None
    except UnicodeDecodeError:
        raise Mistake(f"{source} is not UTF-8 text") from None


def _row(header: Sequence[str], cells: Sequence[str], columns: Mapping[str, str], where: str) -> dict[str, Any]:
    if len(cells) != len(header):
        raise Mistake(f"{where}: {len(cells)} cells, and the first line has {len(header)}")
    named = zip(header, cells, strict=True)
    return {name: _value(columns[name], cell, f"{where}, column {name}") for name, cell in named if name in columns}


def _value(kind: str, cell: str, where: str) -> Any:
    if cell == "":
        return None
    try:
        if kind == "number":
            return _number(cell.strip())
        if kind == "boolean":
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[cell.strip().lower()]
        return json.loads(cell) if kind == "json" else cell
    except (ValueError, KeyError, RecursionError):
        wanted = {"number": "a number", "boolean": "true or false", "json": "JSON"}[kind]
        raise Mistake(f"{where}: {cell[:40]!r} is not {wanted}") from None


def _number(text: str) -> int | float:
    value = json.loads(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(text)
    return value


def _read_json_lines(lines: IO[str], source: str) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row = json.loads(line)
            if not isinstance(row, dict):
                raise Mistake(f"{source}, line {number}: expected a JSON object")
            yield {name: value for name, value in row.items() if name not in RESERVED}
    except UnicodeDecodeError:
        raise Mistake(f"{source} is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise Mistake(f"{source}, line {number + 1 if number == 0 else number}: this is not JSON") from None


def write(out: IO[str], kind: Format, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as they come; returns how many there were. JSON lines hold all of a row, a CSV its id and columns."""
    count = 0
    if kind == "jsonl":
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
        return count
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", *columns])
    for row in rows:
        writer.writerow([row["id"], *(_cell(row.get(name)) for name in columns)])
        count += 1
    return count


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
