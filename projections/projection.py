"""What a projection is: tables, and a pure function from a recorded event to writes on them.

Statements are SQLAlchemy Core, written once for SQLite and PostgreSQL; upserts use PostgreSQL's dialect, which SQLite's
compiler takes too. JSON and times are text, the same on both, so that views compare byte for byte.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.base import Executable

from domain.event import Recorded

Row = Mapping[str, Any]
METADATA = sa.MetaData()


class Write(NamedTuple):
    """One statement and the values of its parameters. Applying it twice in a row changes nothing more."""

    statement: Executable
    values: dict[str, Any]


class Projection(NamedTuple):
    """One reader's understanding of the log. A change of meaning raises `version`, and the views are made anew."""

    name: str
    version: int
    tables: tuple[sa.Table, ...]
    project: Callable[[Recorded], Iterable[Write]]


def upsert(table: sa.Table) -> Executable:
    """Insert a row with a value for every column, or replace the row with the same key."""
    keys = [column.name for column in table.primary_key]
    values = {column.name: sa.bindparam(column.name, type_=column.type) for column in table.columns}
    rest = {name: value for name, value in values.items() if name not in keys}
    return insert(table).values(**values).on_conflict_do_update(index_elements=keys, set_=rest)


def page(query: "sa.Select[Any]") -> "sa.Select[Any]":
    """The query's rows from `offset` on, at most `limit`."""
    return query.limit(sa.bindparam("limit", type_=sa.Integer)).offset(sa.bindparam("offset", type_=sa.Integer))


def within(bound: Sequence[str] | None) -> dict[str, str]:
    """The values of the parameters of `is_within`."""
    return {f"within{at}": value for at, value in enumerate(bound or ())}


def is_within(column: "sa.Column[Any]", count: int | None) -> "list[sa.ColumnElement[bool]]":
    """The condition that a column is one of `count` values; none for None."""
    if count is None:
        return []
    return [sa.or_(*(column == sa.bindparam(f"within{at}") for at in range(count)))]


def text(at: datetime | None) -> str | None:
    """A time as it is stored and shown: ISO 8601, UTC, milliseconds, `Z`."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(value: Any) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(value).decode()


def shown_value(value: str | None, stored: str | None) -> Any:
    """A value of a view: itself, or for one that lies beside the log how it begins."""
    return from_json(value) if stored is None else {"$truncated": from_json(stored)}


def from_json(value: str | None) -> Any:
    """The value of JSON text; None for a column without one."""
    return None if value is None else msgspec.json.decode(value)
