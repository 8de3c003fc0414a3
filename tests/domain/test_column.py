"""What fits in a column."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import column as rules
from domain.column import TYPES, ColumnType, WantedColumn
from domain.errors import BadRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(kind=st.sampled_from(TYPES), value=JSON | st.dates().map(str) | st.datetimes().map(lambda at: f"{at}Z"))
def test_what_fits_fits_as_it_is_stored(kind: ColumnType, value: Any):
    try:
        stored = rules.fit(kind, value)
    except ValueError:
        return
    assert rules.fit(kind, stored) == stored
    assert b"\\u0000" not in msgspec.json.encode(stored)


@given(old=st.sampled_from(TYPES), new=st.sampled_from(TYPES), value=JSON | st.dates().map(str))
def test_what_fits_a_type_fits_every_wider_one_unchanged(old: ColumnType, new: ColumnType, value: Any):
    if rules.fits_wider(old, new):
        try:
            stored = rules.fit(old, value)
        except ValueError:
            return
        assert rules.fit(new, stored) == stored


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("number", True, "expected a number, got a boolean"),
        ("number", "7", "expected a number, got text"),
        ("number", 2**53 + 1, "2\\^53"),
        ("number", math.inf, "finite"),
        ("boolean", 1, "expected true or false, got a number"),
        ("text", ["a"], "expected text, got a list"),
        ("text", "a\0b", "NUL"),
        ("json", {"a": [{"b\0": 1}]}, "NUL"),
        ("date", "2024-02-30", "expected a date"),
        ("date", "20240230", "expected a date"),
        ("date", "2024-02-03T10:00:00", "time zone"),
        ("date", "0001-01-01T00:00:00+05:00", "expected a date"),
        ("date", 5, "expected a date, got a number"),
    ],
)
def test_what_does_not_fit_says_why(kind: ColumnType, value: Any, why: str):
    with pytest.raises(ValueError, match=why):
        rules.fit(kind, value)


def test_moments_are_kept_in_utc_so_that_text_compares_as_time_does():
    assert rules.fit("date", "2024-05-01T01:30:00+02:00") == "2024-04-30T23:30:00.000Z"
    assert rules.fit("date", "2024-05-01 01:30Z") == "2024-05-01T01:30:00.000Z"
    assert rules.fit("date", "2024-05-01") == "2024-05-01"


@pytest.mark.parametrize("name", ["", " a", "id", "_meta", "-price", "a[b", "a,b", 'a"b', "x" * 64, "a\nb"])
def test_a_name_that_could_not_be_asked_for_is_refused(name: str):
    with pytest.raises(BadRequest, match=r"columns\[0\]"):
        rules.check_names([WantedColumn(name=name, type="text")])


def test_two_columns_have_two_names():
    with pytest.raises(BadRequest, match="two columns named a"):
        rules.check_names([WantedColumn(name="a", type="text"), WantedColumn(name="a", type="number")])
    with pytest.raises(BadRequest, match="1 to 100"):
        rules.check_names([])
