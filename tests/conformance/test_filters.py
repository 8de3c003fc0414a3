"""Filters and sorting: the same rows in the same order on every database, and as Python would choose them."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from crewship.commands import rows, tables
from crewship.eventlog import Author, open_log
from crewship.secrets import installation_key
from crewship.views import Views
from crewship.views.postgres import PostgresViews
from crewship.views.sqlite import SqliteViews
from domain.column import Column, WantedColumn
from domain.table import Table
from projections.projection import from_json
from projections.rows import Condition, Order, Query

AUTHOR = Author(by="key:k")
CHOICE = random.Random(7)
TEXTS = ["", "a", "A", "ä", "b", "aa", "%", "_", "Z", "zebra", "ß", "😀", "\uffff", "10", "9", "a'b", None]
NUMBERS = [0, -1, 1, 1.5, 10, 9, 2**53, -(2**53), 1e300, 1e-300, 0.1, 0.30000000000000004, None]
DATES = ["2024-05-01", "2024-05-01T00:00:00.000Z", "2023-12-31", "0001-01-01", "9999-12-31", None]
ROWS: list[dict[str, Any]] = [
    {
        "text": CHOICE.choice(TEXTS),
        "number": CHOICE.choice(NUMBERS),
        "boolean": CHOICE.choice([True, False, None]),
        "date": CHOICE.choice(DATES),
        "json": CHOICE.choice([None, {"a": None}, [], "x", 0]),
        "at": at,
    }
    for at in range(90)
]
COLUMNS = [WantedColumn(name=name, type=name) for name in ("text", "number", "boolean", "date", "json")]


class Filled:
    """A table with those rows, and its views."""

    def __init__(self, views: Views, table: Table) -> None:
        self.views = views
        self.table = table
        self.columns = {column.name: column for column in table.columns}

    async def ask(self, *conditions: Condition, orders: tuple[Order, ...] = (), after: int | None = None) -> list[Any]:
        query = Query(self.table.id, conditions, orders, after, 100, 0)
        found = await self.views.rows(query.statement(), **query.values())
        return [from_json(row["values"])[self.columns["at"].id] for row in found]


@pytest.fixture(params=["sqlite", "postgres"])
async def filled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Filled]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    async with AsyncExitStack() as stack:
        log = await open_log(tmp_path, url, installation_key(tmp_path / "key"), stack)
        wanted = tables.NewTable(name="t", columns=[*COLUMNS, WantedColumn(name="at", type="number")])
        table_id = await tables.create(log, wanted, AUTHOR)
        await rows.insert(log, table_id, ROWS, AUTHOR)
        views = Views(PostgresViews(url) if url else SqliteViews(tmp_path / "views.db"), log)
        await views.open()
        stack.push_async_callback(views.close)
        yield Filled(views, (await tables.find(log, table_id))[0])


def chosen(column: Column, operator: str, values: list[Any]) -> list[int]:
    """What Python says, newest first."""

    def fits(value: Any) -> bool:
        match operator:
            case "null":
                return value is None
            case "present":
                return value is not None
            case "ne":
                return value is None or value != values[0]
            case _ if value is None:
                return False
            case "in":
                return value in values
            case "contains":
                return values[0] in value
        mine, other = (key(value), key(values[0])) if isinstance(value, str) else (value, values[0])
        return bool(
            {"eq": mine == other, "gt": mine > other, "gte": mine >= other, "lt": mine < other, "lte": mine <= other}[
                operator
            ]
        )

    return [row["at"] for row in reversed(ROWS) if fits(row[column.name])]


def key(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


async def test_every_operator_on_every_type_chooses_the_same_rows(filled: Filled):
    samples: dict[str, list[Any]] = {"text": TEXTS, "number": NUMBERS, "boolean": [True, False], "date": DATES}
    for name, values in samples.items():
        column = filled.columns[name]
        operators = ["eq", "ne", "gt", "gte", "lt", "lte"] + (["contains"] if name == "text" else [])
        for operator in operators:
            for value in values:
                if value is not None:
                    found = await filled.ask(Condition(column, operator, [value]))  # type: ignore[arg-type]
                    assert found == chosen(column, operator, [value]), (name, operator, value)
        several = [value for value in values if value is not None][:3]
        assert await filled.ask(Condition(column, "in", several)) == chosen(column, "in", several)
    for name in (*samples, "json"):
        column = filled.columns[name]
        assert await filled.ask(Condition(column, "null")) == chosen(column, "null", [])
        assert await filled.ask(Condition(column, "present")) == chosen(column, "present", [])


async def test_every_type_sorts_the_same_and_what_has_no_value_comes_last(filled: Filled):
    for name in ("text", "number", "boolean", "date"):
        for descending in (False, True):
            found = await filled.ask(orders=(Order(filled.columns[name], descending),))
            newest = sorted(ROWS, key=lambda row: -row["at"])
            present = [row for row in newest if row[name] is not None]
            ordered = sorted(present, key=lambda row: key(row[name]), reverse=descending)
            expected = ordered + [row for row in newest if row[name] is None]
            assert found == [row["at"] for row in expected], (name, descending)


async def test_several_conditions_and_orders_at_once(filled: Filled):
    columns = filled.columns
    conditions = [Condition(columns["boolean"], "eq", [True]), Condition(columns["text"], "present")]
    found = await filled.ask(*conditions, orders=(Order(columns["date"], False), Order(columns["text"], True)))
    fitting = [row for row in reversed(ROWS) if row["boolean"] and row["text"] is not None]
    by_text = sorted(fitting, key=lambda row: key(row["text"]), reverse=True)
    assert found == [row["at"] for row in sorted(by_text, key=lambda row: (row["date"] is None, row["date"] or ""))]


async def test_one_can_go_on_behind_a_row(filled: Filled):
    for descending in (False, True):
        orders = (Order("created_at", descending),)
        query = Query(filled.table.id, (), orders, None, 30, 0)
        seen: list[int] = []
        while True:
            page = await filled.views.rows(query.statement(), **query.values())
            if not page:
                break
            seen += [from_json(row["values"])[filled.columns["at"].id] for row in page]
            query = query._replace(after=page[-1]["position"])
        assert seen == [row["at"] for row in (reversed(ROWS) if descending else ROWS)]
