"""`filter[price][gte]=10`, `sort=-price`: which rows a query wants, checked against the table's columns."""

import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from crewship.api.bodies import number, paging
from domain import column as rules
from domain.column import Column
from domain.errors import BadRequest
from domain.table import Table
from projections.rows import Condition, Operator, Order, Query

OPERATORS: dict[str, Operator] = {
    "": "eq",
    "ne": "ne",
    "gt": "gt",
    "gte": "gte",
    "lt": "lt",
    "lte": "lte",
    "contains": "contains",
    "in": "in",
    "null": "null",
}
MOST_CONDITIONS = 20
MOST_ORDERS = 5
MOST_OF_IN = 100
LAST_POSITION = 10**12 - 1
_FILTER = re.compile(r"filter\[([^\[\]]*)\](?:\[([^\[\]]*)\])?")
_META = "_meta."


def query_of(request: web.Request, table: Table) -> Query:
    """What the request's query string asks of the table's rows; raises BadRequest, naming the parameter."""
    columns = {column.name: column for column in table.columns}
    conditions = [
        _condition(name, given, columns) for name, given in request.query.items() if name.startswith("filter")
    ]
    if len(conditions) > MOST_CONDITIONS:
        raise BadRequest(f"filter: at most {MOST_CONDITIONS} at once")
    orders = _orders(request.query.get("sort", ""), columns)
    after = number(request, "after", 0, 0, LAST_POSITION) if "after" in request.query else None
    if after is not None and not in_order_of_creation(orders):
        raise BadRequest("after: goes with the order of creation alone (sort=_meta.created_at, or -_meta.created_at)")
    return Query(table.id, conditions, orders, after, **paging(request))


def in_order_of_creation(orders: Sequence[Order]) -> bool:
    """Whether one can go on behind a row's position."""
    return not orders or orders[0].by == "created_at"


def _condition(name: str, given: str, columns: dict[str, Column]) -> Condition:
    parts = _FILTER.fullmatch(name)
    if parts is None:
        raise BadRequest(f"{name[:80]}: write it as filter[column]=… or filter[column][gte]=…")
    column = columns.get(parts[1])
    if column is None:
        raise BadRequest(f"{name[:80]}: there is no such column; there are {', '.join(columns)}")
    operator = OPERATORS.get(parts[2] or "")
    if operator is None:
        raise BadRequest(f"{name[:80]}: expected one of {', '.join(filter(None, OPERATORS))}")
    if operator == "null":
        return Condition(column, "null" if _boolean(name, given) else "present")
    if column.type == "json":
        raise BadRequest(f"{name[:80]}: of a json column one can only ask for [null]")
    if operator == "contains" and column.type != "text":
        raise BadRequest(f"{name[:80]}: only text contains something")
    texts = given.split(",") if operator == "in" else [given]
    if len(texts) > MOST_OF_IN:
        raise BadRequest(f"{name[:80]}: at most {MOST_OF_IN} values")
    return Condition(column, operator, [_value(name, column, text) for text in texts])


def _value(name: str, column: Column, text: str) -> Any:
    try:
        if column.type == "number":
            return float(rules.fit("number", _number(text)))
        if column.type == "boolean":
            return _boolean(name, text)
        return rules.fit(column.type, text)
    except ValueError as why:
        raise BadRequest(f"{name[:80]}: {why}") from None


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", text):
        raise ValueError("expected a number")
    try:
        return float(text)
    except ValueError:
        raise ValueError("expected a number") from None


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise BadRequest(f"{name[:80]}: expected true or false")
    return text.lower() in ("true", "1")


def _orders(given: str, columns: dict[str, Column]) -> list[Order]:
    names = [name for name in given.split(",") if name]
    if len(names) > MOST_ORDERS:
        raise BadRequest(f"sort: at most {MOST_ORDERS} columns")
    return [_order(name, columns) for name in names]


def _order(name: str, columns: dict[str, Column]) -> Order:
    descending, plain = name.startswith("-"), name.removeprefix("-")
    if plain == f"{_META}created_at":
        return Order("created_at", descending)
    if plain == f"{_META}updated_at":
        return Order("updated_at", descending)
    column = columns.get(plain)
    if column is None:
        raise BadRequest(f"sort: there is no column {plain[:80]}; there are {', '.join(columns)}, and _meta.created_at")
    if column.type == "json":
        raise BadRequest(f"sort: {plain} is a json column, which has no order")
    return Order(column, descending)
