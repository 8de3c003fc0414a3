from functools import reduce

import pytest

from domain import version as rules
from domain.version import Version, VersionCreated, VersionEvent, VersionFailed, VersionReady

CREATED = VersionCreated(
    version_id="ver_1",
    deployment_id="dep_1",
    version_number=1,
    environment="production",
    source_sha256="ab",
    size=1,
    files=1,
    manifest={},
)
READY = VersionReady(version_id="ver_1", version_number=1, environment="production", activated=True)
FAILED = VersionFailed(version_id="ver_1", error="no")


def given(*events: VersionEvent) -> Version:
    version = reduce(rules.evolve, events, None)
    assert version is not None
    return version


def test_a_new_version_is_being_built():
    assert given(CREATED).status == "building"


def test_nothing_happens_to_a_version_that_was_not_created():
    with pytest.raises(ValueError, match=r"before version\.created"):
        rules.evolve(None, READY)


def test_a_build_ends_once():
    assert rules.finish(given(CREATED), True, None) == [READY]
    assert rules.fail(given(CREATED), "no") == [FAILED]
    for ended in (given(CREATED, READY), given(CREATED, FAILED)):
        assert rules.finish(ended, True, None) == []
        assert rules.fail(ended, "no") == []
