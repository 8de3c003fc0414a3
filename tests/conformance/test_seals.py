"""Whatever database the log lies in: what is changed in it behind its back is found and named."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from crewship.eventlog import Author, Change, EventLog, Sealer, open_log
from crewship.eventlog.verification import Verified, verify
from crewship.secrets import installation_key
from domain.output import LogWritten
from domain.seal import STREAM
from tests.stored import Rows

AUTHOR = Author(by="server:srv_1")


class Place:
    """A log, its sealer, and a way to its rows behind their backs."""

    def __init__(self, log: EventLog, rows: Rows, reopen: Callable[[], Any]) -> None:
        self.log = log
        self.rows = rows
        self.reopen = reopen
        self.sealer = Sealer(log, AUTHOR)
        self._version = 0

    async def write(self, count: int) -> None:
        events = [LogWritten(level="info", message=f"line {number}") for number in range(count)]
        await self.log.append(Change("run_1:output", self._version, events), author=AUTHOR)
        self._version += count

    async def verify(self, **options: Any) -> Verified:
        return await self.log.stored(lambda recorder: verify(recorder, **options))


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    async with AsyncExitStack() as stack:
        key = installation_key(tmp_path / "key")
        log = await open_log(tmp_path, url, key, stack)
        yield Place(log, Rows(tmp_path / "log.db", url), lambda: open_log(tmp_path, url, key, stack))


async def sealed(place: Place, *counts: int) -> list[int]:
    """Write and seal, range by range; returns all positions."""
    for count in counts:
        await place.write(count)
        with place.log.follower(place.log.head) as follower:
            while follower.after < place.log.appended:
                assert await follower.next(10)
        await place.sealer.seal()
    return [row[0] for row in place.rows.all()]


async def test_a_log_as_it_was_written_verifies(place: Place):
    positions = await sealed(place, 5, 3, 1)
    found = await place.verify()
    assert (found.findings, found.seals, found.events, found.next_after) == ([], 3, 11, None)
    assert found.sealed_up_to == positions[-2]
    assert (await place.sealer.seal()).last == found.sealed_up_to, "seals alone are not sealed again"


@pytest.mark.parametrize("at", [0, 4, 5, 6, 10, 11])
async def test_a_changed_event_is_named(place: Place, at: int):
    positions = await sealed(place, 5, 3, 1)
    place.rows.change(positions[at], lambda state: state[:-1] + bytes([state[-1] ^ 1]))
    found = (await place.verify()).findings
    assert [(finding.position, finding.what) for finding in found] == [(positions[at], "changed")]
    assert found[0].stream == (STREAM if at in (5, 11) else "run_1:output")


async def test_a_removed_and_an_inserted_event_are_named(place: Place):
    positions = await sealed(place, 5, 3, 1)
    place.rows.remove(positions[2])
    assert [(f.position, f.what) for f in (await place.verify()).findings] == [(positions[2], "removed")]
    place.rows.insert(positions[2], "run_7", 1, "run.created", b"\x01nonsense")
    (finding,) = (await place.verify()).findings
    assert (finding.position, finding.what, finding.stream) == (positions[2], "changed", "run_7")


async def test_swapped_events_are_both_named(place: Place):
    positions = await sealed(place, 5, 3)
    place.rows.swap(positions[1], positions[3])
    found = (await place.verify()).findings
    assert [(f.position, f.what) for f in found] == [(positions[1], "changed"), (positions[3], "changed")]


async def test_a_seal_that_was_removed_is_missed(place: Place):
    positions = await sealed(place, 5, 3, 1)
    place.rows.remove(positions[5])
    found = (await place.verify()).findings
    assert [(f.position, f.what) for f in found] == [(positions[5], "removed")]


async def test_a_pinned_head_finds_a_log_that_was_cut_and_sealed_anew(place: Place):
    positions = await sealed(place, 5, 3)
    head = str(await place.sealer.seal())
    assert (await place.verify(pinned=head)).findings == []
    for position in positions[6:]:
        place.rows.remove(position)
    assert (await place.verify()).findings == [], "the chain alone cannot know"
    (finding,) = (await place.verify(pinned=head)).findings
    assert finding.what == "head"


async def test_a_long_log_is_verified_piece_by_piece(place: Place):
    await sealed(place, 5, 3, 1)
    pieces, after = [], 0
    while after is not None:
        pieces.append(await place.verify(after=after, most=1))
        after = pieces[-1].next_after
    assert [piece.events for piece in pieces] == [5, 4, 2, 0]
    assert not any(piece.findings for piece in pieces)


async def test_two_sealers_do_not_collide(place: Place):
    others = [place.sealer]
    if place.rows.url:
        others.append(Sealer(await place.reopen(), AUTHOR))
    for _ in range(5):
        await place.write(7)
        await asyncio.gather(*(sealer.seal() for sealer in others for _ in range(2)))
    await sealed(place, 1)
    assert (await place.verify()).findings == []
