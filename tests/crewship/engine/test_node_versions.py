"""Ranges of Node's versions as npm reads them."""

import pytest

from crewship.engine.node_versions import allows


@pytest.mark.parametrize(
    "asked", ["", "*", "20", "20.x", "v20.11.1", ">=18", "^20.4", "~20.11", "<=20", ">20.10", "18 || 20", "18 - 20"]
)
def test_a_range_takes_what_lies_in_it(asked):
    assert allows(asked, (20, 11, 1))


@pytest.mark.parametrize(
    "asked", ["18", "<20", ">20", "^20.12", "~20.10", ">=18 <20", "16 || 18", "22 - 24", "^18.0.0"]
)
def test_a_range_refuses_what_lies_outside(asked):
    assert not allows(asked, (20, 11, 1))


def test_what_cannot_be_understood_keeps_nothing_out():
    assert allows("lts/*", (20, 11, 1))


def test_a_number_of_thousands_of_digits_is_not_understood():
    assert allows("9" * 5_000, (20, 11, 1)) is not None
