"""A table: rows of typed columns that outlive runs.

`tbl_1` holds the decisions about its name and columns. Each row is a stream of its own, `tbl_1:row_9`, and every change
of a row also holds the table's stream where it is: so rows are checked against the columns that count when they land.
"""

from typing import Any

import msgspec

from domain import column as columns_rules
from domain.column import Column, WantedColumn
from domain.errors import BadRequest, Conflict
from domain.event import Event, Sealed

ID_PREFIX = "tbl_"
LONGEST_NAME = 100
LONGEST_DESCRIPTION = 2_000


class TableCreated(Event, tag="table.created", frozen=True, kw_only=True):
    """Rows of these columns can be kept from now on: a deployment's, or with `deployment_id` None everybody's."""

    table_id: str
    name: str
    columns: list[Column]
    description: Sealed[str] = None
    deployment_id: str | None = None


class TableDescribed(Event, tag="table.described", frozen=True, kw_only=True):
    """The table's name and description are these from now on."""

    table_id: str
    name: str
    description: Sealed[str] = None


class ChangeRequested(Event, tag="table.change_requested", frozen=True, kw_only=True):
    """Somebody wants other columns. New rows must fit both from here on, while those there are are looked at."""

    table_id: str
    columns: list[Column]


class TableChanged(Event, tag="table.changed", frozen=True, kw_only=True):
    """The columns are these from now on; every row fits them."""

    table_id: str
    columns: list[Column]


class Misfit(msgspec.Struct, frozen=True, kw_only=True):
    """A row that keeps columns from being changed: what is wrong with it, never what is in it."""

    row_id: str
    column: str
    message: str


class ChangeRefused(Event, tag="table.change_refused", frozen=True, kw_only=True):
    """The columns stay as they were, since these rows (the first of them) do not fit the others."""

    table_id: str
    misfits: list[Misfit]


class TableDeleted(Event, tag="table.deleted", frozen=True, kw_only=True):
    """The table and its rows are out of service and its name is free."""

    table_id: str
    name: str


TableEvent = TableCreated | TableDescribed | ChangeRequested | TableChanged | ChangeRefused | TableDeleted


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a table and its rows depend on. `pending` are the columns that were asked for."""

    id: str
    name: str
    columns: tuple[Column, ...]
    description: str | None = None
    deployment_id: str | None = None
    pending: tuple[Column, ...] | None = None
    columns_ever: int = 0
    deleted: bool = False


def evolve(table: Table | None, event: TableEvent) -> Table:
    """The table after the event."""
    if isinstance(event, TableCreated):
        return Table(
            id=event.table_id,
            name=event.name,
            columns=tuple(event.columns),
            description=event.description,
            deployment_id=event.deployment_id,
            columns_ever=_newest(event.columns),
        )
    if table is None:
        raise ValueError(f"{event.tag()} before table.created")
    match event:
        case TableDescribed(name=name, description=description):
            return msgspec.structs.replace(table, name=name, description=description)
        case ChangeRequested(columns=columns):
            ever = max(table.columns_ever, _newest(columns))
            return msgspec.structs.replace(table, pending=tuple(columns), columns_ever=ever)
        case TableChanged(columns=columns):
            ever = max(table.columns_ever, _newest(columns))
            return msgspec.structs.replace(table, columns=tuple(columns), pending=None, columns_ever=ever)
        case ChangeRefused():
            return msgspec.structs.replace(table, pending=None)
        case TableDeleted():
            return msgspec.structs.replace(table, deleted=True)


def _newest(columns: list[Column]) -> int:
    return max(int(column.id[1:]) for column in columns)


def check_name(name: str) -> None:
    """Raises BadRequest for what cannot be a table's name."""
    if not 1 <= len(name) <= LONGEST_NAME or name != name.strip():
        raise BadRequest(f"name: 1 to {LONGEST_NAME} characters, no blanks around them")
    if not name.isprintable() or "/" in name or name.startswith(ID_PREFIX):
        raise BadRequest(f"name: no / and no control characters, and what begins with {ID_PREFIX} is an id")


def _check_description(description: str | None) -> None:
    if description is not None and (len(description) > LONGEST_DESCRIPTION or "\0" in description):
        raise BadRequest(f"description: at most {LONGEST_DESCRIPTION} characters, and no NUL")


def create(
    table_id: str, name: str, description: str | None, wanted: list[WantedColumn], deployment_id: str | None
) -> list[TableEvent]:
    """A table has a name and at least one column."""
    check_name(name)
    _check_description(description)
    columns_rules.check_names(wanted)
    columns = _identified(wanted, {}, 0)
    created = TableCreated(
        table_id=table_id, name=name, description=description, columns=columns, deployment_id=deployment_id
    )
    return [created]


def describe(table: Table, name: str, description: str | None) -> list[TableEvent]:
    """Another name or description; the same ones change nothing."""
    check_name(name)
    _check_description(description)
    if (name, description) == (table.name, table.description):
        return []
    return [TableDescribed(table_id=table.id, name=name, description=description)]


def change(table: Table, wanted: list[WantedColumn]) -> list[TableEvent]:
    """Other columns: at once where whatever fits the present ones fits those, else after a look at the rows.

    A column is the same one if its name is; one whose name is not wanted any more goes, and its values with it.
    """
    columns_rules.check_names(wanted)
    if table.pending is not None:
        raise Conflict(f"The columns of table {table.name} are being changed; try again in a moment")
    columns = _identified(wanted, {column.name: column for column in table.columns}, table.columns_ever)
    if tuple(columns) == table.columns:
        return []
    before = {column.id: column for column in table.columns}
    if all(_loosened(before.get(column.id), column) for column in columns):
        return [TableChanged(table_id=table.id, columns=columns)]
    return [ChangeRequested(table_id=table.id, columns=columns)]


def _loosened(old: Column | None, new: Column) -> bool:
    if old is None:
        return not new.required
    return columns_rules.fits_wider(old.type, new.type) and (old.required or not new.required)


def _identified(wanted: list[WantedColumn], known: dict[str, Column], ever: int) -> list[Column]:
    columns = []
    for column in wanted:
        if (old := known.get(column.name)) is not None:
            column_id = old.id
        else:
            ever += 1
            column_id = f"c{ever}"
        columns.append(Column(id=column_id, name=column.name, type=column.type, required=column.required))
    return columns


def settle(table: Table, columns: tuple[Column, ...], misfits: list[Misfit]) -> list[TableEvent]:
    """End the change to these columns, given the rows that do not fit them; one that has ended already stays so."""
    if table.pending != columns or table.deleted:
        return []
    if misfits:
        return [ChangeRefused(table_id=table.id, misfits=misfits)]
    return [TableChanged(table_id=table.id, columns=list(columns))]


def refusal(misfits: list[Misfit]) -> Conflict:
    """Why columns were not changed."""
    first = misfits[0]
    shown: list[dict[str, Any]] = [msgspec.to_builtins(misfit) for misfit in misfits]
    more = f" (and {len(misfits) - 1} more)" if len(misfits) > 1 else ""
    return Conflict(f"columns: {first.row_id} does not fit: {first.column}: {first.message}{more}", rows=shown)


def delete(table: Table) -> list[TableEvent]:
    """Take the table and its rows out of service."""
    return [TableDeleted(table_id=table.id, name=table.name)]
