"""Rows of tables. Each append also holds the table's stream: a change of its columns meanwhile decides it again."""

from collections.abc import Sequence
from typing import Any

from crewship import ids
from crewship.commands import tables
from crewship.commands.deciding import decide
from crewship.commands.idempotency import Idempotency
from crewship.eventlog import Author, Change, EventLog
from domain import name as names
from domain import row as rules
from domain.errors import BadRequest, Conflict, NotFound
from domain.row import Row
from domain.table import Table


async def insert(
    log: EventLog,
    table_id: str,
    given: Sequence[dict[str, Any]],
    author: Author,
    idempotency: Idempotency | None = None,
) -> list[str]:
    """Keep 1 to 100 rows, all or none; returns their ids. The same request under the same key is done once."""
    if not 1 <= len(given) <= rules.MOST_AT_ONCE:
        raise BadRequest(f"Give 1 to {rules.MOST_AT_ONCE} rows at once, not {len(given)}")

    async def attempt() -> list[str]:
        if (earlier := await _remembered(log, idempotency)) is not None:
            return earlier
        table, at = await tables.find(log, table_id)
        row_ids = [ids.new("row") for _ in given]
        changes = [Change(table.id, at)]
        for number, (row_id, values) in enumerate(zip(row_ids, given, strict=True)):
            inserted = rules.insert(table, row_id, values, f"row {number}" if len(given) > 1 else "row")
            changes.append(Change(rules.stream(table.id, row_id), 0, [inserted]))
        if idempotency is not None:
            remembered = names.RowsRemembered(fingerprint=idempotency.fingerprint, table_id=table.id, row_ids=row_ids)
            changes.append(Change(_rows_of(idempotency), 0, [remembered]))
        await log.append(*changes, author=author)
        return row_ids

    return await decide(attempt)


def _rows_of(key: Idempotency) -> str:
    """The stream that holds what an idempotency key stands for where rows are asked for."""
    return f"rows-{key.stream}"


async def _remembered(log: EventLog, key: Idempotency | None) -> list[str] | None:
    if key is None:
        return None
    earlier, _ = await log.load(_rows_of(key), names.rows_remembered)
    if earlier is None:
        return None
    if earlier.fingerprint != key.fingerprint:
        raise Conflict("This Idempotency-Key was used for another request")
    return earlier.row_ids


async def find(log: EventLog, table: Table, row_id: str) -> tuple[Row, int]:
    """A row and where its stream stands; raises NotFound."""
    row, at = await log.load(rules.stream(table.id, row_id), rules.evolve)
    if row is None or row.deleted:
        raise NotFound(f"Table {table.name} has no row {row_id[:80]}")
    return row, at


async def update(log: EventLog, table_id: str, row_id: str, given: dict[str, Any], author: Author) -> None:
    """Give a row other values in some columns."""

    async def attempt() -> None:
        table, table_at = await tables.find(log, table_id)
        row, at = await find(log, table, row_id)
        if events := rules.update(table, row_id, row, given):
            stream = rules.stream(table.id, row_id)
            await log.append(Change(table.id, table_at), Change(stream, at, events), author=author)

    await decide(attempt)


async def delete(log: EventLog, table_id: str, row_id: str, author: Author) -> None:
    """Take a row away."""

    async def attempt() -> None:
        table, table_at = await tables.find(log, table_id)
        _, at = await find(log, table, row_id)
        stream = rules.stream(table.id, row_id)
        await log.append(Change(table.id, table_at), Change(stream, at, rules.delete(table, row_id)), author=author)

    await decide(attempt)
