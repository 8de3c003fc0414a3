"""Whatever a graph holds becomes JSON."""

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crewship.runner.python.crewship_runner.run.jsonable import DEPTH, dumps, jsonable


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: Any
    _y: Any = 2


class Pair(NamedTuple):
    a: int
    b: int


class Model:
    def model_dump(self, **_):
        return {"name": "model", "at": datetime.date(2026, 1, 2)}


class OldModel:
    __fields__ = {"a": None}

    def dict(self):
        return {"a": 1}


class Array:
    dtype = "float64"

    def tolist(self):
        return [1.0, float("nan")]


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")

    def model_dump(self, **_):
        raise RuntimeError("no")


class Endless(dict):
    def items(self):
        return [("again", Endless())]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, None, True, "ü"]}, {"a": [1, 2.5, None, True, "ü"]}),
        ((1, Pair(1, 2)), [1, [1, 2]]),
        ({1: "a", None: "b", Colour.RED: "c", (1, 2): "d"}, {"1": "a", "None": "b", "red": "c", "(1, 2)": "d"}),
        ({3, 1, 2}, [1, 2, 3]),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Point(Point(1)), {"x": {"x": 1, "_y": 2}, "_y": 2}),
        (Model(), {"name": "model", "at": "2026-01-02"}),
        (OldModel(), {"a": 1}),
        (Array(), [1.0, None]),
        (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), "2026-01-02T03:00:00+00:00"),
        (datetime.timedelta(minutes=1), 60.0),
        (b"\x00\xff", "AP8="),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (Path("/a"), "/a"),
        ([float("inf"), float("-inf"), float("nan")], ["inf", "-inf", None]),
        (10**40, 10**40),
        ("a\ud800b", "a?b"),
        (Hostile(), "<Hostile>"),
        (int, "<class 'int'>"),
        (ValueError("x"), "ValueError('x')"),
    ],
)
def test_a_value_has_its_form(value, expected):
    assert jsonable(value) == expected
    assert json.loads(dumps(value)) == expected


def test_a_value_inside_itself_is_shown_as_text():
    value: dict[str, Any] = {"name": "loop"}
    value["self"] = value
    assert jsonable(value)["self"].startswith("{'name': 'loop'")


def test_the_same_value_twice_is_no_loop():
    shared = [1]
    assert jsonable([shared, shared]) == [[1], [1]]


def test_what_is_too_deep_is_shown_as_text():
    value: Any = "bottom"
    for _ in range(5000):
        value = [value]
    shown = jsonable(value)
    for _ in range(DEPTH):
        [shown] = shown
    assert isinstance(shown, str)
    dumps(Endless())


def test_an_integer_beyond_what_python_prints_is_text():
    assert jsonable(1 << 100_000).startswith("0x1000")
    msgspec.json.decode(dumps([10**3000, -(1 << 100_000)]))


def test_dumping_is_readable_by_the_server_even_at_the_edges():
    assert msgspec.json.decode(dumps(["\ud800", "\0", 1e308, -0.0])) == ["?", "\0", 1e308, -0.0]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.datetimes()
    | st.decimals()
    | st.complex_numbers()
    | st.sampled_from([Colour.RED, Level.HIGH, Model(), Array(), object, print])
    | st.builds(Hostile),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters()) | st.integers() | st.none(), inner)
        | st.tuples(inner, inner)
        | st.builds(Point, inner)
        | st.frozensets(st.integers() | st.text(st.characters()))
    ),
    max_leaves=20,
)


@given(anything)
def test_nothing_raises_and_everything_is_read_back_by_the_server(value):
    text = dumps(value)
    assert msgspec.json.decode(text) == json.loads(text)
    assert json.loads(dumps(json.loads(text))) == json.loads(text)  # JSON stays what it is
