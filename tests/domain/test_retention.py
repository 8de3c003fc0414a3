"""Rules of how long things are kept."""

from functools import reduce

import pytest

from domain import retention as rules
from domain.errors import BadRequest
from domain.retention import Retention, RetentionLifted, RetentionSet, Rule

SET = RetentionSet(deployment_id="dep_1", older_than_seconds=3600)
LIFTED = RetentionLifted(deployment_id="dep_1")


def given(*events: rules.RetentionEvent) -> Retention | None:
    return reduce(rules.evolve, events, None)


def test_a_rule_takes_the_place_of_the_one_before():
    wanted = Rule(keep=10)
    expected = [RetentionSet(deployment_id="dep_1", keep=10)]
    assert rules.set_rule(given(), "dep_1", wanted) == expected
    assert rules.set_rule(given(SET), "dep_1", wanted) == expected
    assert given(SET, *expected) == Retention(rule=wanted)


def test_the_same_rule_again_changes_nothing():
    assert rules.set_rule(given(SET), "dep_1", Rule(older_than_seconds=3600)) == []
    assert rules.set_rule(given(SET, LIFTED), "dep_1", Rule(older_than_seconds=3600)) == [SET]


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (Rule(), "older_than_seconds or keep is required"),
        (Rule(older_than_seconds=59), "older_than_seconds"),
        (Rule(older_than_seconds=rules.LONGEST + 1), "older_than_seconds"),
        (Rule(keep=-1), "keep"),
        (Rule(keep=rules.MOST_KEPT + 1), "keep"),
    ],
    ids=["nothing", "short", "long", "negative", "many"],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(rule: Rule, named: str):
    with pytest.raises(BadRequest, match=named):
        rules.set_rule(None, None, rule)


def test_what_is_not_set_is_not_lifted():
    assert rules.lift(given(), None) == []
    assert rules.lift(given(SET, LIFTED), "dep_1") == []
    assert rules.lift(given(SET), "dep_1") == [LIFTED]
