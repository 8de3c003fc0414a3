from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain import deployment as rules
from domain.deployment import (
    Deployment,
    DeploymentClosed,
    DeploymentCreated,
    DeploymentDeleted,
    DeploymentEvent,
    DeploymentReopened,
    VersionActivated,
    VersionNumbered,
)
from domain.errors import BadRequest, Conflict, NotFound

CREATED = DeploymentCreated(deployment_id="dep_1", name="crew")


def numbered(number: int) -> VersionNumbered:
    return VersionNumbered(
        deployment_id="dep_1",
        version_id=f"ver_{number}",
        version_number=number,
        environment="production",
        framework="langgraph",
    )


def activated(number: int, reason: rules.Reason = "deploy", environment: rules.Environment = "production"):
    return VersionActivated(
        deployment_id="dep_1",
        environment=environment,
        version_id=f"ver_{number}",
        version_number=number,
        reason=reason,
    )


def given(*events: DeploymentEvent) -> Deployment:
    deployment = reduce(rules.evolve, events, None)
    assert deployment is not None
    return deployment


def test_nothing_happens_to_a_deployment_that_nobody_created():
    with pytest.raises(ValueError, match=r"before deployment\.created"):
        rules.evolve(None, activated(1))


def test_versions_are_numbered_one_by_one():
    assert rules.number(given(CREATED), "ver_1", "production", "langgraph").version_number == 1
    assert rules.number(given(CREATED, numbered(1)), "ver_2", "staging", "langgraph").version_number == 2


def test_a_built_version_goes_live():
    assert rules.activate(given(CREATED, numbered(1)), "production", "ver_1") == ([activated(1)], None)


def test_a_version_does_not_go_live_behind_a_newer_one():
    deployment = given(CREATED, numbered(1), numbered(2), activated(2))
    events, note = rules.activate(deployment, "production", "ver_1")
    assert events == []
    assert note == "version 2, which is newer, is already live in production"


def test_a_version_does_not_go_live_over_a_rollback():
    deployment = given(CREATED, numbered(1), activated(1), numbered(2), activated(2), numbered(3))
    rolled_back = reduce(rules.evolve, rules.roll_back(deployment, "production", None), deployment)
    assert rules.activate(rolled_back, "production", "ver_3")[1] == (
        "production was rolled back while this version was being built"
    )
    later = rules.evolve(rolled_back, numbered(4))
    assert rules.activate(later, "production", "ver_4") == ([activated(4)], None)


def test_a_version_of_a_deleted_deployment_does_not_go_live():
    deployment = given(CREATED, numbered(1), DeploymentDeleted(deployment_id="dep_1", name="crew"))
    assert rules.activate(deployment, "production", "ver_1") == ([], "the deployment was deleted meanwhile")


def test_going_back_again_goes_further_back():
    deployment = given(CREATED, *(event for number in (1, 2, 3) for event in (numbered(number), activated(number))))
    for expected in (2, 1):
        events = rules.roll_back(deployment, "production", None)
        assert events == [activated(expected, "rollback")]
        deployment = reduce(rules.evolve, events, deployment)
    with pytest.raises(BadRequest, match="no previous version"):
        rules.roll_back(deployment, "production", None)


def test_going_to_a_version_that_was_never_live_replaces_the_live_one():
    deployment = given(CREATED, numbered(1), activated(1), numbered(2), activated(2), numbered(3))
    moved = reduce(rules.evolve, rules.roll_back(deployment, "production", "ver_3"), deployment)
    assert [active.version_number for active in moved.pointer("production").path] == [1, 3]


def test_going_nowhere_is_refused():
    deployment = given(CREATED, numbered(1), activated(1))
    with pytest.raises(BadRequest, match="already live"):
        rules.roll_back(deployment, "production", "ver_1")
    with pytest.raises(NotFound, match="ver_9"):
        rules.roll_back(deployment, "production", "ver_9")


def test_promoting_moves_the_target_alone():
    deployment = given(CREATED, numbered(1), activated(1), numbered(2), activated(2, environment="staging"))
    assert rules.promote(deployment, "staging", "production") == [activated(2, "promote")]
    with pytest.raises(BadRequest, match="No version is live in staging"):
        rules.promote(given(CREATED), "staging", "production")
    with pytest.raises(BadRequest, match="same environment"):
        rules.promote(deployment, "staging", "staging")


def test_promoting_what_is_live_already_changes_nothing():
    deployment = given(CREATED, numbered(1), activated(1), activated(1, environment="staging"))
    assert rules.promote(deployment, "staging", "production") == []


def test_a_run_needs_a_live_version():
    with pytest.raises(BadRequest, match="No running version found for production environment"):
        rules.live_version(given(CREATED), "production")
    assert rules.live_version(given(CREATED, numbered(1), activated(1)), "production").version_id == "ver_1"


CLOSED = DeploymentClosed(deployment_id="dep_1")
REOPENED = DeploymentReopened(deployment_id="dep_1")


def test_only_a_closed_deployment_at_rest_is_deleted():
    with pytest.raises(Conflict, match="still takes runs"):
        rules.delete(given(CREATED), 0)
    closed = given(CREATED, CLOSED)
    assert rules.delete(closed, 0) == [DeploymentDeleted(deployment_id="dep_1", name="crew")]
    assert rules.delete(closed, 2) == [REOPENED]
    assert "2 unfinished runs" in rules.in_use(closed, 2).message


def test_no_run_begins_in_a_closed_deployment():
    closed = given(CREATED, numbered(1), activated(1), CLOSED)
    with pytest.raises(Conflict, match="is being deleted"):
        rules.live_version(closed, "production")
    assert rules.close(closed) == []
    reopened = rules.evolve(closed, REOPENED)
    assert rules.live_version(reopened, "production").version_id == "ver_1"


@for_all(st.lists(st.sampled_from(["number", "activate", "back", "jump", "promote"]), max_size=40), st.randoms())
def test_what_is_live_was_numbered_and_paths_never_hold_a_step_to_itself(steps: list[str], chance):
    deployment = given(CREATED)
    for step in steps:
        known = list(deployment.numbers)
        events: list[DeploymentEvent] = []
        try:
            match step:
                case "number":
                    version_id = f"ver_{deployment.latest_number + 1}"
                    events = [rules.number(deployment, version_id, "production", "langgraph")]
                case "activate" if known:
                    environment = chance.choice(rules.ENVIRONMENTS)
                    events, _ = rules.activate(deployment, environment, chance.choice(known))
                case "back":
                    events = rules.roll_back(deployment, "production", None)
                case "jump" if known:
                    events = rules.roll_back(deployment, "production", chance.choice(known))
                case "promote":
                    events = rules.promote(deployment, "staging", "production")
        except BadRequest:
            continue
        deployment = reduce(rules.evolve, events, deployment)
        for environment in rules.ENVIRONMENTS:
            path = deployment.pointer(environment).path
            assert all(deployment.numbers[active.version_id] == active.version_number for active in path)
            assert all(before != after for before, after in pairwise(path))
