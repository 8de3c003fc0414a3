"""A table's columns, and how they change under its rows."""

from functools import reduce
from typing import Any

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from domain import row as rows
from domain import table as rules
from domain.column import TYPES, Column, WantedColumn
from domain.errors import BadRequest, Conflict, TooLarge
from domain.table import (
    ChangeRefused,
    ChangeRequested,
    Misfit,
    Table,
    TableChanged,
    TableCreated,
    TableDeleted,
    TableDescribed,
    TableEvent,
)

TITLE = Column(id="c1", name="title", type="text", required=True)
PRICE = Column(id="c2", name="price", type="number")
CREATED = TableCreated(table_id="tbl_1", name="leads", columns=[TITLE, PRICE])
MISFIT = Misfit(row_id="row_1", column="price", message="a value is required")


def given(*events: TableEvent) -> Table:
    table = reduce(rules.evolve, events, None)
    assert table is not None
    return table


def wanted(*columns: Column) -> list[WantedColumn]:
    return [WantedColumn(name=column.name, type=column.type, required=column.required) for column in columns]


def renamed(column: Column, **changes: Any) -> Column:
    return Column(**{"id": column.id, "name": column.name, "type": column.type, "required": column.required, **changes})


def test_nothing_happens_to_a_table_that_was_not_created():
    with pytest.raises(ValueError, match=r"before table\.created"):
        rules.evolve(None, TableDeleted(table_id="tbl_1", name="leads"))


@pytest.mark.parametrize("name", ["", " x", "a/b", "tbl_1", "a\nb", "x" * 101])
def test_a_name_that_could_not_be_asked_for_is_refused(name: str):
    with pytest.raises(BadRequest, match="name"):
        rules.create("tbl_1", name, None, wanted(TITLE), None)


def test_columns_get_ids_in_their_order():
    (created,) = rules.create("tbl_1", "leads", None, wanted(TITLE, PRICE), None)
    assert created == CREATED


def test_a_change_that_every_row_outlasts_is_done_at_once():
    looser = renamed(TITLE, required=False, type="json")
    added = Column(id="c3", name="note", type="text")
    assert rules.change(given(CREATED), wanted(looser, added)) == [
        TableChanged(table_id="tbl_1", columns=[looser, added])
    ]


@pytest.mark.parametrize(
    "column",
    [renamed(PRICE, required=True), renamed(PRICE, type="text"), Column(id="c3", name="x", type="text", required=True)],
    ids=["required", "another type", "new and required"],
)
def test_a_change_that_a_row_may_not_fit_is_asked_for(column: Column):
    (event,) = rules.change(given(CREATED), wanted(TITLE, column))
    assert event == ChangeRequested(table_id="tbl_1", columns=[TITLE, column])
    pending = given(CREATED, event)
    assert rules.settle(pending, pending.pending or (), []) == [TableChanged(table_id="tbl_1", columns=[TITLE, column])]
    assert rules.settle(pending, pending.pending or (), [MISFIT]) == [ChangeRefused(table_id="tbl_1", misfits=[MISFIT])]


def test_the_same_columns_change_nothing():
    assert rules.change(given(CREATED), wanted(TITLE, PRICE)) == []


def test_one_change_at_a_time():
    asked = ChangeRequested(table_id="tbl_1", columns=[TITLE])
    with pytest.raises(Conflict, match="being changed"):
        rules.change(given(CREATED, asked), wanted(PRICE))


def test_a_look_at_other_columns_than_are_asked_for_now_settles_nothing():
    asked = ChangeRequested(table_id="tbl_1", columns=[TITLE])
    assert rules.settle(given(CREATED, asked), (PRICE,), []) == []
    assert rules.settle(given(CREATED), (TITLE,), [MISFIT]) == []


def test_a_column_that_went_and_comes_again_is_another_one():
    without = given(CREATED, TableChanged(table_id="tbl_1", columns=[TITLE]))
    (event,) = rules.change(without, wanted(TITLE, PRICE))
    assert isinstance(event, TableChanged)
    assert [column.id for column in event.columns] == ["c1", "c3"]


def test_a_column_that_was_refused_does_not_lend_its_id():
    asked = ChangeRequested(table_id="tbl_1", columns=[TITLE, Column(id="c3", name="x", type="text", required=True)])
    refused = given(CREATED, asked, ChangeRefused(table_id="tbl_1", misfits=[MISFIT]))
    (event,) = rules.change(refused, wanted(TITLE, Column(id="", name="y", type="date")))
    assert isinstance(event, TableChanged)
    assert event.columns[1].id == "c4"


def test_the_same_name_and_description_change_nothing():
    table = given(CREATED, TableDescribed(table_id="tbl_1", name="leads", description="x"))
    assert rules.describe(table, "leads", "x") == []
    assert rules.describe(table, "leads", None) == [TableDescribed(table_id="tbl_1", name="leads")]


def test_a_refusal_names_rows_and_columns():
    error = rules.refusal([MISFIT, MISFIT])
    assert "row_1 does not fit: price: a value is required (and 1 more)" in error.message
    assert error.extras["rows"][0] == {"row_id": "row_1", "column": "price", "message": "a value is required"}


# rows -----------------------------------------------------------------------------------------------------------------


def test_a_row_holds_values_by_the_ids_of_columns():
    inserted = rows.insert(given(CREATED), "row_1", {"title": "Tea", "price": None, "id": "ignored", "_meta": {}})
    assert inserted.values == {"c1": "Tea"}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"title": "Tea", "price": "x"}, "row 3, column price: expected a number, got text"),
        ({"price": 1}, "row 3, column title: a value is required"),
        ({"title": None}, "row 3, column title: a value is required"),
        ({"title": "Tea", "colour": 1}, "row 3, column colour: table leads has no such column"),
    ],
)
def test_a_row_that_does_not_fit_says_where(values: dict[str, Any], why: str):
    with pytest.raises(BadRequest, match=why):
        rows.insert(given(CREATED), "row_1", values, "row 3")


def test_a_row_has_a_size():
    with pytest.raises(TooLarge):
        rows.insert(given(CREATED), "row_1", {"title": "x" * rows.LARGEST})


def test_an_update_leaves_other_columns_alone():
    table, row = given(CREATED), rows.Row(values={"c1": "Tea", "c2": 3})
    (event,) = rows.update(table, "row_1", row, {"price": None})
    assert event == rows.RowUpdated(table_id="tbl_1", row_id="row_1", values={"c1": "Tea"})
    assert rows.update(table, "row_1", row, {"title": "Tea"}) == []


def test_an_update_drops_what_columns_that_are_gone_have_left():
    table, row = given(CREATED), rows.Row(values={"c1": "Tea", "c9": "old"})
    (event,) = rows.update(table, "row_1", row, {"title": "Coffee"})
    assert isinstance(event, rows.RowUpdated)
    assert event.values == {"c1": "Coffee"}


COLUMNS = st.lists(
    st.builds(WantedColumn, name=st.sampled_from("abc"), type=st.sampled_from(TYPES), required=st.booleans()),
    min_size=1,
    max_size=3,
    unique_by=lambda column: column.name,
)
VALUES = st.none() | st.text("ab", max_size=2) | st.integers(0, 2) | st.booleans() | st.just("2024-05-01")


@any_of(before=COLUMNS, after=COLUMNS, given_values=st.dictionaries(st.sampled_from("abc"), VALUES))
def test_a_row_that_is_written_while_columns_change_fits_whichever_way_it_ends(
    before: list[WantedColumn], after: list[WantedColumn], given_values: dict[str, Any]
):
    table = given(*rules.create("tbl_1", "t", None, before, None))
    events = rules.change(table, after)
    try:
        written = rows.insert(given(*rules.create("tbl_1", "t", None, before, None), *events), "row_1", given_values)
    except BadRequest:
        return
    changed = given(*rules.create("tbl_1", "t", None, before, None), *events)
    for columns in (changed.columns, changed.pending or ()):
        assert rows.misfits(columns, "row_1", written.values or {}) == []


@any_of(before=COLUMNS, after=COLUMNS, given_values=st.dictionaries(st.sampled_from("abc"), VALUES))
def test_a_change_that_is_done_at_once_leaves_no_row_behind(
    before: list[WantedColumn], after: list[WantedColumn], given_values: dict[str, Any]
):
    table = given(*rules.create("tbl_1", "t", None, before, None))
    try:
        written = rows.insert(table, "row_1", given_values)
    except BadRequest:
        return
    for event in rules.change(table, after):
        if isinstance(event, TableChanged):
            assert rows.misfits(event.columns, "row_1", written.values or {}) == []
