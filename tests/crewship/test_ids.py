"""Ids."""

import re
import time

from crewship import ids


def test_an_id_is_a_prefix_and_plain_characters():
    assert re.fullmatch(r"run_[a-z0-9]{20}", ids.new("run"))


def test_ids_sort_by_age():
    first = ids.new("run")
    time.sleep(0.002)
    assert first < ids.new("run")


def test_no_two_are_the_same():
    assert len({ids.new("run") for _ in range(10_000)}) == 10_000
