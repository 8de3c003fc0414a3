"""What holds for the log, whatever database it lies in."""

import asyncio
import random
from typing import Any

import pytest

from crewship import clock
from crewship.eventlog import Author, Change, EventLog, StreamMoved
from crewship.eventlog.codec import decode
from crewship.secrets import WrongKey
from domain import run as rules
from domain.event import Mark, Recorded
from domain.output import LogWritten
from domain.run import RunClaimed, RunRequested, RunStarted
from tests.conformance.conftest import OpenLog

AUTHOR = Author(by="key:k", cause="test", request_id="req_1")


def requested(run_id: str, **fields: Any) -> RunRequested:
    known = {"deployment_id": "dep_1", "version_id": "ver_1", "version_number": 1, "environment": "production"}
    return RunRequested(run_id=run_id, **known, **fields)


def line(text: str) -> LogWritten:
    return LogWritten(level="info", message=text)


async def all_of(log: EventLog, streams: tuple[str, ...] | None = None, after: int = 0) -> list[Recorded]:
    found: list[Recorded] = []
    while events := await log.read(after, limit=7, streams=streams):
        found += events
        after = events[-1].position
    return found


async def until(log: EventLog, position: int) -> None:
    """On a shared log what was appended is seen by followers a moment later."""
    with log.follower(log.head) as follower:
        async with asyncio.timeout(10):
            while log.head < position:
                await follower.next()


async def test_what_was_appended_is_loaded(log: EventLog):
    await log.append(Change("run_1", 0, [requested("run_1", input={"topic": "ä", "n": 2**70})]), author=AUTHOR)
    run, version = await log.load("run_1", rules.evolve)
    assert run is not None
    assert (run.status, run.input, version) == ("pending", {"topic": "ä", "n": 2**70}, 1)


async def test_a_stream_that_never_was_is_nothing_at_version_0(log: EventLog):
    assert await log.load("run_404", rules.evolve) == (None, 0)
    assert await log.end("run_404") == (0, Mark())


async def test_everything_about_an_event_is_kept(log: EventLog, reopen: OpenLog):
    mark = Mark(line=7)
    position = await log.append(Change("run_1:output", 0, [line("hi")], [mark]), author=AUTHOR)
    (event,) = await (await reopen()).read()
    assert event.position == position
    assert (event.stream, event.version, event.by) == ("run_1:output", 1, "key:k")
    assert (event.cause, event.request_id, event.mark) == ("test", "req_1", mark)
    assert event.event == line("hi")
    assert not event.erased
    assert await log.end("run_1:output") == (1, mark)


async def test_an_append_at_a_wrong_version_changes_nothing(log: EventLog):
    await log.append(Change("a", 0, [line("1")]), author=AUTHOR)
    with pytest.raises(StreamMoved, match="a is at version 1, not at 0"):
        await log.append(Change("b", 0, [line("x")]), Change("a", 0, [line("y")]), author=AUTHOR)
    await until(log, log.appended)
    assert [event.stream for event in await all_of(log)] == ["a"]


async def test_a_change_without_events_holds_a_stream_where_it_is(log: EventLog):
    await log.append(Change("a", 0, [line("1")]), author=AUTHOR)
    await log.append(Change("a", 1), Change("b", 0, [line("2")]), author=AUTHOR)
    with pytest.raises(StreamMoved):
        await log.append(Change("a", 0), Change("c", 0, [line("3")]), author=AUTHOR)
    assert (await log.end("a"))[0] == 1
    assert (await log.end("c"))[0] == 0


async def test_of_those_who_append_at_the_same_version_one_wins(log: EventLog):
    async def attempt(number: int) -> bool:
        try:
            await log.append(Change("contested", 0, [line(str(number))]), author=AUTHOR)
        except StreamMoved:
            return False
        return True

    won = await asyncio.gather(*(attempt(number) for number in range(200)))
    assert sum(won) == 1
    assert (await log.end("contested"))[0] == 1


async def test_losers_do_not_take_others_down(log: EventLog):
    await log.append(Change("busy", 0, [line("held")]), author=AUTHOR)

    async def attempt(number: int) -> object:
        stream = "busy" if number % 2 else f"free_{number}"
        return await log.append(Change(stream, 0, [line("x")]), author=AUTHOR)

    outcomes = await asyncio.gather(*(attempt(number) for number in range(100)), return_exceptions=True)
    assert all(isinstance(outcome, StreamMoved) == bool(number % 2) for number, outcome in enumerate(outcomes))


async def test_positions_grow_and_versions_count_without_a_gap(log: EventLog):
    async def writer(stream: str) -> None:
        for version in range(20):
            await log.append(Change(stream, version, [line(f"{stream} {version}")]), author=AUTHOR)

    await asyncio.gather(*(writer(f"s{number}") for number in range(10)))
    await until(log, log.appended)
    events = await all_of(log)
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))
    for number in range(10):
        of_stream = [event for event in events if event.stream == f"s{number}"]
        assert [event.version for event in of_stream] == list(range(1, 21))
        assert await all_of(log, (f"s{number}",)) == of_stream


async def test_times_never_run_back(log: EventLog):
    for version in range(30):
        await log.append(Change("a", version, [line("x")]), author=AUTHOR)
    await until(log, log.appended)
    times = [event.at for event in await all_of(log)]
    assert times == sorted(times)
    assert all(at.microsecond % 1000 == 0 for at in times)


async def test_a_log_that_is_opened_again_goes_on_where_it_was(log: EventLog, reopen: OpenLog):
    await log.append(Change("run_1", 0, [requested("run_1")]), author=AUTHOR)
    again = await reopen()
    assert again.head == again.appended
    claimed = RunClaimed(run_id="run_1", server_id="srv", epoch=2)
    position = await again.append(Change("run_1", 1, [claimed]), author=AUTHOR)
    assert position > 1
    run, version = await again.load("run_1", rules.evolve)
    assert run is not None
    assert (run.epoch, version) == (2, 2)


async def test_a_follower_gets_history_then_live_once_each_and_in_order(log: EventLog):
    async def write(start: int, stop: int) -> None:
        for version in range(start, stop):
            await log.append(Change("a", version, [line(str(version))]), author=AUTHOR)
            if random.random() < 0.3:
                await asyncio.sleep(0)

    await write(0, 50)
    writing = asyncio.create_task(write(50, 300))
    seen: list[str | None] = []
    with log.follower(0, ("a",)) as follower:
        async with asyncio.timeout(20):
            while len(seen) < 300:
                seen += [event.event.message for event in await follower.next(limit=13)]  # type: ignore[attr-defined]
    await writing
    assert seen == [str(number) for number in range(300)]


async def test_a_follower_of_one_stream_is_not_woken_by_another(log: EventLog):
    with log.follower(log.head, ("mine",)) as follower:
        await log.append(Change("other", 0, [line("x")]), author=AUTHOR)
        assert await follower.next(seconds=0.2) == []
        await log.append(Change("mine", 0, [line("y")]), author=AUTHOR)
        assert [event.stream for event in await follower.next(seconds=10)] == ["mine"]


async def test_two_streams_are_followed_as_one_sequence(log: EventLog):
    claimed = RunClaimed(run_id="r", server_id="s", epoch=1)
    await log.append(Change("r", 0, [claimed]), Change("r:output", 0, [line("1"), line("2")]), author=AUTHOR)
    await log.append(Change("r:output", 2, [line("3")]), author=AUTHOR)
    await log.append(Change("r", 1, [claimed]), author=AUTHOR)
    await until(log, log.appended)
    events = await all_of(log, ("r", "r:output"))
    assert [event.stream for event in events] == ["r", "r:output", "r:output", "r:output", "r"]


async def test_sealed_fields_are_unreadable_where_they_lie_and_gone_with_their_key(log: EventLog, reopen: OpenLog):
    secret = "the-secret-topic"
    await log.append(Change("run_1", 0, [requested("run_1", input={"topic": secret})]), author=AUTHOR)
    stored = log._recorder.select_events("run_1")[0]
    assert secret.encode() not in stored.state
    assert b"dep_1" in stored.state
    assert log._keys.forget("run_1")
    again = await reopen()
    (event,) = await again.read()
    assert isinstance(event.event, RunRequested)
    assert event.erased
    assert event.event.input is None
    assert event.event.deployment_id == "dep_1"


async def test_a_sealed_part_fits_no_other_place(log: EventLog):
    for version, text in enumerate(("one", "two")):
        await log.append(Change("run_1:output", version, [line(text)]), author=AUTHOR)
    first, second = log._recorder.select_events("run_1:output")
    moved = second.state[:5] + second.state[5 : 5 + int.from_bytes(second.state[1:5], "big")]
    sealed = first.state[5 + int.from_bytes(first.state[1:5], "big") :]
    forged = type(second)(second.originator_id, second.originator_version, second.topic, moved + sealed)
    with pytest.raises(WrongKey):
        decode(forged, 1, log._keys.keys({"run_1"})["run_1"])


async def test_folding_goes_on_from_where_it_was(log: EventLog):
    await log.append(Change("run_1", 0, [requested("run_1")]), author=AUTHOR)
    await log.load("run_1", rules.evolve)
    claimed = RunClaimed(run_id="run_1", server_id="srv", epoch=1)
    await log.append(Change("run_1", 1, [claimed]), author=AUTHOR)
    at = clock.now()
    await log.append(Change("run_1", 2, [RunStarted(run_id="run_1", started_at=at)]), author=AUTHOR)
    run, version = await log.load("run_1", rules.evolve)
    assert run is not None
    assert (run.status, run.started_at, version) == ("running", at, 3)


async def test_a_stream_longer_than_one_read_is_folded_whole(log: EventLog):
    def count(before: int | None, _: LogWritten) -> int:
        return (before or 0) + 1

    for start in range(0, 1200, 400):
        await log.append(Change("long", start, [line(str(number)) for number in range(400)]), author=AUTHOR)
    assert await log.load("long", count) == (1200, 1200)


async def test_reading_far_back_goes_to_the_database(log: EventLog, reopen: OpenLog):
    for start in range(0, 900, 300):
        await log.append(Change("a", start, [line(str(number)) for number in range(300)]), author=AUTHOR)
    await until(log, log.appended)
    again = await reopen()
    assert [event.version for event in await all_of(again, ("a",))] == list(range(1, 901))
    assert len(await all_of(again)) == 900
