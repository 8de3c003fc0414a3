"""/v1/tables/{table}/rows."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from crewship.api.bodies import body
from crewship.api.context import SERVICE, author, fresh_views
from crewship.api.filters import in_order_of_creation, query_of
from crewship.api.middleware import answer
from crewship.api.repeats import repeatable
from crewship.commands import rows as commands
from crewship.commands import tables as table_commands
from crewship.views import Views
from domain.errors import NotFound
from domain.table import Table
from projections import access as access_view
from projections import rows as view
from projections.projection import Row

KEY = "key:"
OPERATOR = "key:operator"


async def create(request: web.Request) -> web.Response:
    """POST /v1/tables/{table}/rows: one row, or a list of at most 100, all or none of them."""
    given: dict[str, Any] | list[dict[str, Any]] = await body(request, dict[str, Any] | list[dict[str, Any]])  # type: ignore[arg-type]  # msgspec decodes unions
    table = await _table(request)
    rows = [given] if isinstance(given, dict) else given
    key = repeatable(request, given)
    row_ids = await commands.insert(request.app[SERVICE].log, table.id, rows, author(request), key)
    views = await fresh_views(request)
    statement, values = view.by_ids(row_ids)
    kept = sorted(await views.rows(statement, **values), key=lambda row: int(row["position"]))
    shown = await _shown(views, table, kept)
    if isinstance(given, list):
        return answer({"rows": shown}, 201)
    if not shown:
        raise NotFound(f"Table {table.name} has no row {row_ids[0]} any more")
    return answer(shown[0], 201)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/tables/{table}/rows: rows, newest first or as `sort` says; `next_after` leads to the next page.

    `filter[column]=value` and `filter[column][ne|gt|gte|lt|lte|contains|in|null]=value` choose; several must all hold.
    """
    table = await _table(request)
    query = query_of(request, table)
    views = await fresh_views(request)
    rows = await views.rows(query.statement(), **query.values())
    more = len(rows) == query.limit and in_order_of_creation(query.orders)
    return answer(
        {"rows": await _shown(views, table, rows), "next_after": rows[-1]["position"] if more else None},
    )


async def get(request: web.Request) -> web.Response:
    """GET /v1/tables/{table}/rows/{row_id}: one row."""
    return answer(await _one(request))


async def patch(request: web.Request) -> web.Response:
    """PATCH /v1/tables/{table}/rows/{row_id}: other values for some columns, null for none."""
    given = await body(request, dict[str, Any])
    table, row_id = await _table(request), request.match_info["row_id"]
    await commands.update(request.app[SERVICE].log, table.id, row_id, given, author(request))
    return answer(await _one(request))


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/tables/{table}/rows/{row_id}: the row goes."""
    table, row_id = await _table(request), request.match_info["row_id"]
    await commands.delete(request.app[SERVICE].log, table.id, row_id, author(request))
    return web.Response(status=204)


async def _table(request: web.Request) -> Table:
    table, _ = await table_commands.find(request.app[SERVICE].log, request.match_info["table"])
    return table


async def _one(request: web.Request) -> dict[str, Any]:
    table, row_id = await _table(request), request.match_info["row_id"]
    views = await fresh_views(request)
    row = await views.row(view.GET, table_id=table.id, id=row_id)
    if row is None:
        raise NotFound(f"Table {table.name} has no row {row_id[:80]}")
    return (await _shown(views, table, [row]))[0]


async def _shown(views: Views, table: Table, rows: Sequence[Row]) -> list[dict[str, Any]]:
    actors = {actor for row in rows for actor in (row["created_by"], row["updated_by"]) if actor.startswith(KEY)}
    shown = {actor: await _name(views, actor) for actor in actors}
    return [view.public(row, table.columns, shown) for row in rows]


async def _name(views: Views, actor: str) -> str:
    """A key as `api:` and its name."""
    if actor == OPERATOR:
        return "api:operator"
    key = await views.row(access_view.GET, id=actor.removeprefix(KEY))
    return f"api:{key['name']}" if key else actor
