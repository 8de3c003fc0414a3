"""A row of a table: a value for each column, by the column's id."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from domain import column as columns_rules
from domain.column import Column
from domain.errors import BadRequest, TooLarge
from domain.event import Event, Sealed
from domain.table import Misfit, Table

ID_PREFIX = "row_"
MOST_AT_ONCE = 100
LARGEST = 256 * 1024
RESERVED = ("id", "_meta")
"""What a row shows beside its columns; a row that is sent back as it came may hold them."""

Values = dict[str, Any]


class RowInserted(Event, tag="row.inserted", frozen=True, kw_only=True):
    """A row is kept from now on; its values stand under the ids of their columns, those that are null are left out."""

    table_id: str
    row_id: str
    values: Sealed[Values] = None


class RowUpdated(Event, tag="row.updated", frozen=True, kw_only=True):
    """The row's values are these, all of them, from now on."""

    table_id: str
    row_id: str
    values: Sealed[Values] = None


class RowDeleted(Event, tag="row.deleted", frozen=True, kw_only=True):
    """The row is gone."""

    table_id: str
    row_id: str


RowEvent = RowInserted | RowUpdated | RowDeleted


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a row depend on."""

    values: Values
    deleted: bool = False


def evolve(row: Row | None, event: RowEvent) -> Row:
    """The row after the event."""
    if isinstance(event, RowInserted):
        return Row(values=event.values or {})
    if row is None:
        raise ValueError(f"{event.tag()} before row.inserted")
    return Row(values=row.values, deleted=True) if isinstance(event, RowDeleted) else Row(values=event.values or {})


def stream(table_id: str, row_id: str) -> str:
    """The stream of a row; it is sealed under the table's data key."""
    return f"{table_id}:{row_id}"


def insert(table: Table, row_id: str, given: Mapping[str, Any], where: str = "row") -> RowInserted:
    """A row whose values fit. `where` is how a refusal names it."""
    return RowInserted(table_id=table.id, row_id=row_id, values=_checked(table, {}, given, where))


def update(table: Table, row_id: str, row: Row, given: Mapping[str, Any]) -> list[RowEvent]:
    """Other values for some columns, null for none; all others stay. What is the same already changes nothing."""
    # Values of columns that are gone go with the next change.
    known = {column.id for column in (*table.columns, *(table.pending or ()))}
    before = {column_id: value for column_id, value in row.values.items() if column_id in known}
    values = _checked(table, before, given, "row")
    return [] if values == before else [RowUpdated(table_id=table.id, row_id=row_id, values=values)]


def delete(table: Table, row_id: str) -> list[RowEvent]:
    """The row goes."""
    return [RowDeleted(table_id=table.id, row_id=row_id)]


def _checked(table: Table, before: Values, given: Mapping[str, Any], where: str) -> Values:
    """The values by column id; they fit the table's columns, and those that were asked for if some were."""
    values = dict(before)
    shapes = (table.columns,) if table.pending is None else (table.columns, table.pending)
    for name, value in given.items():
        columns = [column for shape in shapes for column in shape if column.name == name]
        if not columns and name not in RESERVED:
            raise BadRequest(f"{where}, column {name[:80]}: table {table.name} has no such column")
        for column in columns:
            try:
                value = columns_rules.fit(column.type, value)
            except ValueError as why:
                raise BadRequest(f"{where}, column {name}: {why}") from None
            values[column.id] = value
    values = {column_id: value for column_id, value in values.items() if value is not None}
    for shape in shapes:
        for column in shape:
            if column.required and column.id not in values:
                raise BadRequest(f"{where}, column {column.name}: a value is required")
    if len(msgspec.json.encode(values)) > LARGEST:
        raise TooLarge(f"{where} is larger than {LARGEST // 1024} KiB")
    return values


def misfits(columns: Iterable[Column], row_id: str, values: Values) -> list[Misfit]:
    """What keeps a row from being one of these columns."""
    found = []
    for column in columns:
        value = values.get(column.id)
        try:
            if value is None and column.required:
                raise ValueError("a value is required")
            if columns_rules.fit(column.type, value) != value:
                raise ValueError("expected a date in UTC, like 2030-01-31 or 2030-01-31T12:00:00.000Z")
        except ValueError as why:
            found.append(Misfit(row_id=row_id, column=column.name, message=str(why)))
    return found


def shown(columns: Iterable[Column], values: Values) -> dict[str, Any]:
    """The values as the API shows them: under the columns' names, null where there is none."""
    return {column.name: values.get(column.id) for column in columns}
