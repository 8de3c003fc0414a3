from functools import reduce

import pytest

from domain import variables as rules
from domain.errors import BadRequest, NotFound
from domain.variables import Variables, VariablesEvent, VariablesSet, VariableUnset


def given(*events: VariablesEvent) -> Variables | None:
    return reduce(rules.evolve, events, None)


def put(**values: str) -> VariablesSet:
    return VariablesSet(deployment_id="dep_1", names=sorted(values), values=values)


def test_values_are_merged():
    assert given(put(A="1", B="2"), put(B="3")) == Variables({"A": "1", "B": "3"})


def test_an_unset_variable_is_gone():
    assert given(put(A="1", B="2"), VariableUnset(deployment_id="dep_1", name="A")) == Variables({"B": "2"})


def test_only_what_is_set_can_be_unset():
    assert rules.unset(given(put(A="1")), "dep_1", "A") == [VariableUnset(deployment_id="dep_1", name="A")]
    for variables in (None, given(put(A="1"))):
        with pytest.raises(NotFound, match="Variable B is not set"):
            rules.unset(variables, "dep_1", "B")


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "Ä", "A" * 129, "CREWSHIP_URL", "A\n"])
def test_names_are_those_a_shell_can_set_and_not_ours(name: str):
    with pytest.raises(BadRequest, match=r"variables\."):
        rules.set_values(None, "dep_1", {name: "x"})


def test_values_are_limited():
    with pytest.raises(BadRequest, match="NUL"):
        rules.set_values(None, "dep_1", {"A": "a\0"})
    with pytest.raises(BadRequest, match="64 KiB"):
        rules.set_values(None, "dep_1", {"A": "x" * 70_000})
    with pytest.raises(BadRequest, match="at most 256"):
        rules.set_values(given(put(A="1")), "dep_1", {f"B{number}": "x" for number in range(256)})
    with pytest.raises(BadRequest, match="empty"):
        rules.set_values(None, "dep_1", {})
