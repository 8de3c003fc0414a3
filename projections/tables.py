"""Tables, as the API shows them: their columns, and how many rows they have."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa

from domain.column import Column
from domain.event import Recorded
from domain.table import ChangeRefused, ChangeRequested, TableChanged, TableCreated, TableDeleted, TableDescribed
from projections.projection import METADATA, Projection, Row, Write, from_json, is_within, page, text, to_json, upsert
from projections.rows import DROP_OF_TABLE, ROWS

TABLES = sa.Table(
    "tables",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("deployment_id", sa.Text, index=True),
    sa.Column("columns", sa.Text, nullable=False),
    sa.Column("pending_columns", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
)

PUT = upsert(TABLES)
_TABLE = TABLES.c.id == sa.bindparam("table")
_UPDATED: dict[str, Any] = {"updated_at": sa.bindparam("updated")}
DESCRIBE = (
    sa.update(TABLES).where(_TABLE).values(name=sa.bindparam("called"), description=sa.bindparam("told"), **_UPDATED)
)
ASK = sa.update(TABLES).where(_TABLE).values(pending_columns=sa.bindparam("asked"))
CHANGE = (
    sa.update(TABLES).where(_TABLE).values({"columns": sa.bindparam("shape"), "pending_columns": sa.null(), **_UPDATED})
)
REFUSE = sa.update(TABLES).where(_TABLE).values(pending_columns=sa.null())
DROP = sa.delete(TABLES).where(_TABLE)

_COUNT = sa.select(sa.func.count()).where(ROWS.c.table_id == TABLES.c.id).scalar_subquery().label("row_count")
GET = sa.select(TABLES, _COUNT).where(TABLES.c.id == sa.bindparam("id"))
CHANGING = sa.select(TABLES.c.id).where(TABLES.c.pending_columns.is_not(None)).order_by(TABLES.c.position)


@cache
def listing(filters: tuple[str, ...], bound: int | None = None, shared: bool = True) -> "sa.Select[Any]":
    """Tables, newest first, with these columns at given values; of so many deployments alone, or also of none."""
    conditions = [TABLES.c[name] == sa.bindparam(name) for name in filters]
    for condition in is_within(TABLES.c.deployment_id, bound):
        conditions.append(sa.or_(condition, TABLES.c.deployment_id.is_(None)) if shared else condition)
    return page(sa.select(TABLES, _COUNT).where(*conditions).order_by(TABLES.c.position.desc()))


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about tables."""
    at = text(recorded.at)
    match recorded.event:
        case TableCreated() as table:
            yield Write(PUT, _new(recorded, table))
        case TableDescribed(table_id=table_id, name=name, description=description):
            yield Write(DESCRIBE, {"table": table_id, "called": name, "told": description, "updated": at})
        case ChangeRequested(table_id=table_id, columns=columns):
            yield Write(ASK, {"table": table_id, "asked": to_json(columns)})
        case TableChanged(table_id=table_id, columns=columns):
            yield Write(CHANGE, {"table": table_id, "shape": to_json(columns), "updated": at})
        case ChangeRefused(table_id=table_id):
            yield Write(REFUSE, {"table": table_id})
        case TableDeleted(table_id=table_id):
            yield Write(DROP, {"table": table_id})
            yield Write(DROP_OF_TABLE, {"table": table_id})


def _new(recorded: Recorded, table: TableCreated) -> dict[str, Any]:
    at = text(recorded.at)
    return {
        "id": table.table_id,
        "position": recorded.position,
        "name": table.name,
        "description": table.description,
        "deployment_id": table.deployment_id,
        "columns": to_json(table.columns),
        "pending_columns": None,
        "created_at": at,
        "updated_at": at,
    }


def public(row: Row) -> dict[str, Any]:
    """A table as the API shows it; `pending_columns` are those that the rows are being looked at for."""
    pending = from_json(row["pending_columns"])
    shown = {name: row[name] for name in ("id", "name", "description", "deployment_id", "row_count")}
    return {
        **shown,
        "columns": _public_columns(from_json(row["columns"])),
        "pending_columns": None if pending is None else _public_columns(pending),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _public_columns(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for stored in columns:
        column = Column(**stored)
        shown.append({"name": column.name, "type": column.type, "required": column.required})
    return shown


TABLES_VIEW = Projection("tables", 1, (TABLES,), project)
