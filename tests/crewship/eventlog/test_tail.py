"""The end of the log in memory, against the whole of it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from crewship.eventlog import tail as module
from crewship.eventlog.tail import Tail
from domain.event import Recorded
from domain.output import LogWritten

AT = datetime(2026, 1, 1, tzinfo=UTC)


def event(position: int, stream: str) -> Recorded:
    return Recorded(
        position=position, stream=stream, version=1, at=AT, by="x", event=LogWritten(level="info", message="x")
    )


@for_all(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=80),
    st.integers(0, 100),
    st.integers(1, 20),
    st.sampled_from([None, ("a",), ("b", "c"), ("d",)]),
)
def test_what_the_tail_gives_is_what_the_log_holds(appends, after, limit, streams):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_EVENTS", 30)
        tail = Tail(head=5)
        log, position = [], 5
        for stream, gap in appends:
            position += gap
            log.append(event(position, stream))
            tail.push([(log[-1], 10)])
        found = tail.read(after, limit, streams)
    assert tail.head == position
    if after < tail.start:
        assert found is None
    else:
        wanted = [e for e in log if e.position > after and (streams is None or e.stream in streams)]
        assert found == wanted[:limit]
    assert sum(1 for e in log if e.position > tail.start) <= 30


def test_the_tail_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    tail = Tail(head=0)
    tail.push([(event(position, "a"), 40) for position in range(1, 10)])
    assert tail.start == 7


def test_a_bell_rings_for_its_streams_alone():
    tail = Tail(head=0)
    mine, every = tail.add_bell(("a",)), tail.add_bell(None)
    tail.push([(event(1, "b"), 1)])
    assert (mine.is_set(), every.is_set()) == (False, True)
    tail.push([(event(2, "a"), 1)])
    assert mine.is_set()
    tail.drop_bell(mine, ("a",))
    mine.clear()
    tail.push([(event(3, "a"), 1)])
    assert not mine.is_set()
