"""Tables: their names and columns."""

import msgspec

from crewship import ids
from crewship.commands import deployments
from crewship.commands.deciding import decide, insist
from crewship.commands.idempotency import Idempotency, made, making
from crewship.eventlog import Author, Change, EventLog
from domain import name as names
from domain import table as rules
from domain.column import Column, WantedColumn
from domain.errors import Conflict, NotFound
from domain.table import ChangeRequested, Misfit, Table


class NewTable(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for. `deployment` is an id or a name; None: the table is everybody's."""

    name: str
    columns: list[WantedColumn]
    description: str | None = None
    deployment: str | None = None


async def find(log: EventLog, reference: str) -> tuple[Table, int]:
    """The table that an id or a name means, and the version of its stream; raises NotFound."""
    table_id = reference
    if not reference.startswith(rules.ID_PREFIX):
        name, _ = await log.load(names.table_stream(reference), names.evolve)
        table_id = (name and name.table_id) or ""
    # A row's stream begins with its table's id.
    known = table_id and ":" not in table_id
    table, at = await log.load(table_id, rules.evolve) if known else (None, 0)
    if table is None or table.deleted:
        raise NotFound(f"Table {reference[:80]} not found")
    return table, at


async def create(log: EventLog, wanted: NewTable, author: Author, idempotency: Idempotency | None = None) -> str:
    """Give a table its name and columns; returns its id. The same request under the same key makes one."""

    async def attempt() -> str:
        if (earlier := await made(log, idempotency)) is not None:
            return earlier
        table_id = ids.new("tbl")
        changes = []
        deployment_id = None
        if wanted.deployment is not None:
            deployment, deployment_at = await deployments.find(log, wanted.deployment)
            deployment_id = deployment.id
            changes.append(Change(deployment_id, deployment_at))
        created = rules.create(table_id, wanted.name, wanted.description, wanted.columns, deployment_id)
        changes += [
            await _claim(log, wanted.name, table_id),
            Change(table_id, 0, created),
            *making(idempotency, table_id),
        ]
        await log.append(*changes, author=author)
        return table_id

    return await decide(attempt)


async def _claim(log: EventLog, name: str, table_id: str) -> Change:
    holder, at = await log.load(names.table_stream(name), names.evolve)
    if holder is not None and holder.table_id is not None:
        raise Conflict(f"A table named {name} exists already")
    return Change(names.table_stream(name), at, [names.TableNameClaimed(name=name, table_id=table_id)])


async def _release(log: EventLog, name: str) -> Change:
    _, at = await log.load(names.table_stream(name), names.evolve)
    return Change(names.table_stream(name), at, [names.NameReleased(name=name)])


async def check_free(log: EventLog, table_id: str, name: str) -> None:
    """Raises Conflict if another table bears the name, and BadRequest if none can."""
    rules.check_name(name)
    holder, _ = await log.load(names.table_stream(name), names.evolve)
    if holder is not None and holder.table_id not in (None, table_id):
        raise Conflict(f"A table named {name} exists already")


async def describe(log: EventLog, table_id: str, name: str | None, description: str | None, author: Author) -> None:
    """Give a table a description and, unless None, another name."""

    async def attempt() -> None:
        table, at = await find(log, table_id)
        described = rules.describe(table, table.name if name is None else name, description)
        changes = [Change(table_id, at, described)]
        if name is not None and name != table.name:
            changes += [await _release(log, table.name), await _claim(log, name, table_id)]
        if described:
            await log.append(*changes, author=author)

    await decide(attempt)


async def change(log: EventLog, table_id: str, wanted: list[WantedColumn], author: Author) -> int | None:
    """Ask for other columns. Returns where in the log a look at the rows was asked for; None if none is needed."""

    async def attempt() -> int | None:
        table, at = await find(log, table_id)
        events = rules.change(table, wanted)
        if not events:
            return None
        position = await log.append(Change(table_id, at, events), author=author)
        return position if isinstance(events[0], ChangeRequested) else None

    return await decide(attempt)


async def settle(
    log: EventLog, table_id: str, columns: tuple[Column, ...], misfits: list[Misfit], author: Author
) -> None:
    """End the change to these columns, given the rows that do not fit them. One that has ended already stays so."""

    async def attempt() -> None:
        table, at = await log.load(table_id, rules.evolve)
        if table is not None and (events := rules.settle(table, columns, misfits)):
            await log.append(Change(table_id, at, events), author=author, patient=True)

    await insist(attempt)


async def delete(log: EventLog, table_id: str, author: Author) -> None:
    """Take a table and its rows out of service; its name is free again."""

    async def attempt() -> None:
        table, at = await find(log, table_id)
        released = await _release(log, table.name)
        await log.append(Change(table_id, at, rules.delete(table)), released, author=author)

    await decide(attempt)
