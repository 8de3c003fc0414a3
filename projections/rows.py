"""Rows of tables, as the API shows them, filtered and sorted by what is in them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from domain import row as rules
from domain.column import Column, ColumnType
from domain.event import Recorded
from domain.row import RowDeleted, RowInserted, RowUpdated
from projections.json_values import VALUES, Contains
from projections.projection import METADATA, Projection, Row, Write, from_json, page, text, to_json, upsert

Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "contains", "in", "null", "present"]

ROWS = sa.Table(
    "table_rows",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("table_id", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("values", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False),
    sa.Index("table_rows_by_table", "table_id", "position"),
)

PUT = upsert(ROWS)
UPDATE = (
    sa.update(ROWS)
    .where(ROWS.c.id == sa.bindparam("row"))
    .values({"values": sa.bindparam("now"), "updated_at": sa.bindparam("updated"), "updated_by": sa.bindparam("actor")})
)
DROP = sa.delete(ROWS).where(ROWS.c.id == sa.bindparam("row"))
DROP_OF_TABLE = sa.delete(ROWS).where(ROWS.c.table_id == sa.bindparam("table"))

_OF_TABLE = ROWS.c.table_id == sa.bindparam("table_id")
_LIMIT = sa.bindparam("limit", type_=sa.Integer)
_AFTER = sa.bindparam("after", type_=sa.BigInteger)
GET = sa.select(ROWS).where(_OF_TABLE, ROWS.c.id == sa.bindparam("id"))
BEHIND = sa.select(ROWS).where(_OF_TABLE, ROWS.c.position > _AFTER).order_by(ROWS.c.position).limit(_LIMIT)
"""A table's rows behind a position, oldest first."""


class Condition(NamedTuple):
    """Which values of a column are wanted: one, with `in` any of several, with `null` none, with `present` any."""

    column: Column
    operator: Operator
    values: Sequence[Any] = ()


class Order(NamedTuple):
    """By what rows are sorted: a column's values, or when they were created or updated."""

    by: Column | Literal["created_at", "updated_at"]
    descending: bool


class Query(NamedTuple):
    """Which rows of a table are wanted, in which order. Equal ones come newest first, those without a value last.

    `after` goes on behind a position; the only order then is that of creation.
    """

    table_id: str
    conditions: Sequence[Condition]
    orders: Sequence[Order]
    after: int | None
    limit: int
    offset: int

    def statement(self) -> "sa.Select[Any]":
        """The statement, made once for all queries of the same shape."""
        conditions = tuple((each.column.type, each.operator, len(each.values)) for each in self.conditions)
        orders = tuple((_kind(order), order.descending) for order in self.orders)
        return _statement(conditions, orders, self.after is not None)

    def values(self) -> dict[str, Any]:
        """The values of the statement's parameters."""
        given: dict[str, Any] = {"table_id": self.table_id, "limit": self.limit, "offset": self.offset}
        if self.after is not None:
            given["after"] = self.after
        for number, condition in enumerate(self.conditions):
            given[f"filtered{number}"] = condition.column.id
            given |= {f"value{number}_{at}": value for at, value in enumerate(condition.values)}
        for number, order in enumerate(self.orders):
            if isinstance(order.by, Column):
                given[f"sorted{number}"] = order.by.id
        return given


_Kind = ColumnType | Literal["created_at", "updated_at"]


def _kind(order: Order) -> _Kind:
    return order.by.type if isinstance(order.by, Column) else order.by


@lru_cache(maxsize=256)
def _statement(
    conditions: tuple[tuple[ColumnType, Operator, int], ...], orders: tuple[tuple[_Kind, bool], ...], after: bool
) -> "sa.Select[Any]":
    wanted = [_OF_TABLE, *(_condition(number, *shape) for number, shape in enumerate(conditions))]
    newest_first = not orders or orders[0] == ("created_at", True)
    if after:
        wanted.append(ROWS.c.position < _AFTER if newest_first else ROWS.c.position > _AFTER)
    sorting = [_sorted(number, *order) for number, order in enumerate(orders)]
    query = sa.select(ROWS).where(*wanted).order_by(*sorting, ROWS.c.position.desc())
    return page(query)


def _sorted(number: int, kind: _Kind, descending: bool) -> "sa.ColumnElement[Any]":
    if kind == "created_at":
        by: sa.ColumnElement[Any] = ROWS.c.position
    elif kind == "updated_at":
        by = ROWS.c.updated_at
    else:
        by = VALUES[kind](ROWS.c["values"], sa.bindparam(f"sorted{number}", type_=sa.Text))
    placed = by.desc() if descending else by.asc()
    return placed if kind == "created_at" else placed.nulls_last()


def _condition(number: int, kind: ColumnType, operator: Operator, count: int) -> "sa.ColumnElement[bool]":
    value = VALUES[kind](ROWS.c["values"], sa.bindparam(f"filtered{number}", type_=sa.Text))
    given = [sa.bindparam(f"value{number}_{at}", type_=_TYPES[kind]) for at in range(count)]
    match operator:
        case "null":
            return value.is_(None)
        case "present":
            return value.is_not(None)
        case "contains":
            return Contains(value, given[0]) > 0
        case "in":
            return sa.or_(*(value == each for each in given))
        case "ne":
            return sa.or_(value.is_(None), value != given[0])
        case "eq":
            return value == given[0]
    compare = {"gt": value > given[0], "gte": value >= given[0], "lt": value < given[0], "lte": value <= given[0]}
    return compare[operator]


_TYPES: dict[ColumnType, Any] = {
    "text": sa.Text,
    "date": sa.Text,
    "json": sa.Text,
    "number": sa.Double,
    "boolean": sa.Boolean,
}


def by_ids(row_ids: Sequence[str]) -> "tuple[sa.Select[Any], dict[str, Any]]":
    """The rows with these ids, in no order, and the values of the statement's parameters.

    By their ids alone: with a table or an order SQLite would rather walk through the whole table.
    """
    return _by_ids(len(row_ids)), {f"id{at}": row_id for at, row_id in enumerate(row_ids)}


@lru_cache(maxsize=rules.MOST_AT_ONCE)
def _by_ids(count: int) -> "sa.Select[Any]":
    named = sa.or_(*(ROWS.c.id == sa.bindparam(f"id{at}") for at in range(count)))
    return sa.select(ROWS).where(named)


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about rows."""
    at = text(recorded.at)
    match recorded.event:
        case RowInserted() as row:
            yield Write(
                PUT,
                {
                    "id": row.row_id,
                    "table_id": row.table_id,
                    "position": recorded.position,
                    "values": to_json(row.values or {}),
                    "created_at": at,
                    "created_by": recorded.by,
                    "updated_at": at,
                    "updated_by": recorded.by,
                },
            )
        case RowUpdated(row_id=row_id, values=values):
            yield Write(UPDATE, {"row": row_id, "now": to_json(values or {}), "updated": at, "actor": recorded.by})
        case RowDeleted(row_id=row_id):
            yield Write(DROP, {"row": row_id})


def public(row: Row, columns: Sequence[Column], actors: Mapping[str, str]) -> dict[str, Any]:
    """A row as the API shows it, of a table with these columns; `actors` says how those who wrote it are shown."""
    meta = {name: row[name] for name in ("created_at", "created_by", "updated_at", "updated_by")}
    meta |= {name: actors.get(meta[name], meta[name]) for name in ("created_by", "updated_by")}
    return {"id": row["id"], **rules.shown(columns, from_json(row["values"])), "_meta": meta}


ROWS_VIEW = Projection("rows", 1, (ROWS,), project)
