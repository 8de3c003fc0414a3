"""/v1/tables."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from crewship.api.bodies import CreateTable, PatchTable, body, paging
from crewship.api.context import SERVICE, author, fresh_views
from crewship.api.middleware import answer
from crewship.api.reach import bound_to, deployment_of, how_many, reachable, reaches_shared
from crewship.api.repeats import repeatable
from crewship.commands import tables as commands
from domain import table as rules
from domain.column import WantedColumn
from domain.errors import BadRequest, NotFound
from domain.table import ChangeRefused, Table, TableChanged, TableDeleted
from projections import tables as view
from projections.projection import within

CHANGE_WAIT_SECONDS = 60.0


async def create(request: web.Request) -> web.Response:
    """POST /v1/tables: a table with typed columns, a deployment's own or everybody's."""
    wanted = await body(request, CreateTable)
    reference = wanted.deployment_id
    bound = bound_to(request)
    if reference is None and bound is not None:
        if len(bound) > 1:
            raise BadRequest("deployment_id is required, since this key is bound to several")
        reference = next(iter(bound))
    table = commands.NewTable(
        name=wanted.name,
        columns=wanted.columns,
        description=wanted.description,
        deployment=None if reference is None else await reachable(request, reference),
    )
    table_id = await commands.create(request.app[SERVICE].log, table, author(request), repeatable(request, wanted))
    return answer(await _shown(request, table_id), 201)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/tables: tables, newest first."""
    views = await fresh_views(request)
    filters = {"name": request.query["name"]} if "name" in request.query else {}
    if (reference := request.query.get("deployment_id")) is not None:
        filters["deployment_id"] = (await deployment_of(request, reference)).id
    bound = bound_to(request)
    statement = view.listing(tuple(filters), how_many(bound), reaches_shared(request))
    rows = await views.rows(statement, **filters, **within(bound), **paging(request))
    return answer({"tables": [view.public(row) for row in rows]})


async def get(request: web.Request) -> web.Response:
    """GET /v1/tables/{table}: one table, its columns and how many rows it has."""
    return answer(await _shown(request, (await _table(request)).id))


async def patch(request: web.Request) -> web.Response:
    """PATCH /v1/tables/{table}: another name, description, or the whole list of columns.

    A column is the same one if its name is. 409 with `rows` if some do not fit the new columns; 202 while the rows are
    still being looked at.
    """
    log = request.app[SERVICE].log
    wanted = await body(request, PatchTable)
    table = await _table(request)
    name = None if wanted.name is msgspec.UNSET else wanted.name
    if name is not None:
        await commands.check_free(log, table.id, name)
    settled = wanted.columns is msgspec.UNSET or await _change(request, table.id, wanted.columns)
    if name is not None or wanted.description is not msgspec.UNSET:
        told = table.description if wanted.description is msgspec.UNSET else wanted.description
        await commands.describe(log, table.id, name, told, author(request))
    return answer(await _shown(request, table.id), 200 if settled else 202)


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/tables/{table}: the table goes, and its rows with it."""
    await commands.delete(request.app[SERVICE].log, (await _table(request)).id, author(request))
    return web.Response(status=204)


async def _change(request: web.Request, table_id: str, wanted: list[WantedColumn]) -> bool:
    """Whether the columns are these now, and not only asked for; raises Conflict if rows do not fit them."""
    log = request.app[SERVICE].log
    position = await commands.change(log, table_id, wanted, author(request))
    if position is None:
        return True
    with log.follower(position, (table_id,)) as follower:
        try:
            async with asyncio.timeout(CHANGE_WAIT_SECONDS):
                while True:
                    for recorded in await follower.next():
                        match recorded.event:
                            case ChangeRefused(misfits=misfits):
                                raise rules.refusal(misfits)
                            case TableChanged() | TableDeleted():
                                return True
        except TimeoutError:
            return False


async def _table(request: web.Request) -> Table:
    table, _ = await commands.find(request.app[SERVICE].log, request.match_info["table"])
    return table


async def _shown(request: web.Request, table_id: str) -> dict[str, Any]:
    views = await fresh_views(request)
    row = await views.row(view.GET, id=table_id)
    if row is None:
        raise NotFound(f"Table {table_id} not found")
    return view.public(row)
