"""Streams are read to their end, whatever happens to the connection."""

import json
from typing import Any

import pytest
from aiohttp import web

from crewship.cli.errors import CommandError, NoServer, Refused
from crewship.cli.stream import RUN_ENDS, EventReader, StreamEvent, TookTooLong

PATH = "/v1/runs/run_1/events"


def frame(number: int, kind: str = "log", **payload: Any) -> bytes:
    data = {"type": kind, "timestamp": "2024-01-15T10:30:00Z", "payload": payload, **payload}
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\nid: evt_{number:03}\n\n".encode()


class Log:
    """A run's events on a server that serves them as `script` says: per connection, how many bytes before it is cut,
    or a status to answer with instead; afterwards whole."""

    def __init__(self, frames: list[bytes], script: list[Any]) -> None:
        self.frames = frames
        self.script = script
        self.resumed: list[str | None] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        last = request.headers.get("Last-Event-ID")
        self.resumed.append(last)
        step = self.script.pop(0) if self.script else None
        if step in (204, 401, 404, 500, 503):
            return web.Response(status=step)
        after = int(last.removeprefix("evt_")) if last else 0
        whole = b": hello\n\n" + b"".join(
            one for one in self.frames if int(one.split(b"id: evt_")[1].split(b"\n")[0]) > after
        )
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if step == "drop":
            response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(whole if step in (None, "end", "drop") else whole[:step])
        if step is not None and step != "end" and request.transport is not None:
            request.transport.abort()  # without the last chunk: the connection breaks
        return response


def reader(server: Any, notes: list[str], **options: Any) -> EventReader:
    client = server.client()
    return EventReader(
        client, "runs", "run_1", "events", ends=RUN_ENDS, notify=notes.append, pause=lambda _: None, **options
    )


def read(server: Any, log: Log, **options: Any) -> tuple[list[StreamEvent], list[str]]:
    server.routes["GET", PATH] = log.handle
    notes: list[str] = []
    return list(reader(server, notes, **options)), notes


FRAMES = [frame(n * 3, "log", message=f"line {n} é \u2028 \x85 end") for n in range(1, 9)]
FRAMES.append(frame(42, "run.completed", duration_ms=5))
IDS = [f"evt_{n * 3:03}" for n in range(1, 9)] + ["evt_042"]


def test_a_whole_stream_is_read_and_ends_with_its_terminal_event(server: Any) -> None:
    events, notes = read(server, Log(FRAMES, []))
    assert [event.id for event in events] == IDS
    assert events[0].payload["message"] == "line 1 é \u2028 \x85 end"
    assert notes == []


def test_a_connection_cut_at_any_byte_loses_and_repeats_nothing(server: Any) -> None:
    whole = len(b": hello\n\n" + b"".join(FRAMES))
    for cut in range(0, whole, 7):
        events, _ = read(server, Log(FRAMES, [cut, cut // 2, cut // 3]))
        assert [event.id for event in events] == IDS, f"cut at byte {cut}"


def test_a_resumed_stream_begins_right_behind_the_last_event(server: Any) -> None:
    log = Log(FRAMES, [len(b": hello\n\n" + b"".join(FRAMES[:3])), "end"])
    events, notes = read(server, log)
    assert [event.id for event in events] == IDS
    assert log.resumed == [None, "evt_009"]
    assert notes == ["Connection lost, trying again …", "Connected again."]


def test_a_server_that_repeats_events_is_not_drawn_twice(server: Any) -> None:
    class Cut(Log):
        async def handle(self, request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b"".join(self.frames if self.script else self.frames[:4]))
            self.script.append(1)
            return response

    events, _ = read(server, Cut(FRAMES, []))
    assert [event.id for event in events] == IDS


def test_ids_are_compared_as_numbers(server: Any) -> None:
    frames = [frame(999), frame(1000), frame(1001, "run.canceled")]
    events, _ = read(server, Log(frames, []))
    assert [event.id for event in events] == ["evt_999", "evt_1000", "evt_1001"]


def test_a_server_that_restarts_is_waited_for(server: Any) -> None:
    log = Log(FRAMES, [60, 503, 503, 500, 503])
    events, notes = read(server, log)
    assert [event.id for event in events] == IDS
    assert notes == ["Connection lost, trying again …", "Connected again."]


def test_a_filtered_stream_ends_where_nothing_more_can_come(server: Any) -> None:
    log = Log(FRAMES[:2], ["end", 204])
    events, notes = read(server, log, types="log")
    assert len(events) == 2
    assert notes == []
    assert server.asked[0][1].endswith("?types=log")


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_ends_it(server: Any, status: int) -> None:
    with pytest.raises(Refused) as caught:
        read(server, Log(FRAMES, [status]))
    assert caught.value.status == status


def test_it_gives_up_in_the_end(server: Any) -> None:
    with pytest.raises(NoServer, match=r"gave up after 0s"):
        read(server, Log(FRAMES, [503] * 9), patience=0)


def test_what_is_no_stream_is_not_waited_for(server: Any) -> None:
    server.answers("GET", PATH, {"hello": "world"})
    with pytest.raises(CommandError, match="does not answer like a Crewship server"):
        list(reader(server, []))


def test_the_time_to_wait_is_bounded(server: Any) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(FRAMES[0])
        await web.asyncio.sleep(30)
        return response

    server.routes["GET", PATH] = silent
    events = iter(reader(server, [], timeout=0.3))
    assert next(events).id == "evt_003"
    with pytest.raises(TookTooLong):
        next(events)


def test_a_quiet_stream_is_left_where_that_was_asked_for(server: Any) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(FRAMES[0])
        await web.asyncio.sleep(30)
        return response

    server.routes["GET", PATH] = silent
    assert [event.id for event in reader(server, [], quiet=0.3)] == ["evt_003"]


def test_a_stream_that_is_closed_is_left_too_where_that_was_asked_for(server: Any) -> None:
    log = Log(FRAMES[:2], ["end"])
    events, _ = read(server, log, quiet=1.0)
    assert len(events) == 2
    assert log.resumed == [None]


def test_pauses_grow_and_start_anew_after_a_success(server: Any) -> None:
    log = Log(FRAMES, [503, 503, 503, len(FRAMES[0]) + 20, 503, 503])
    server.routes["GET", PATH] = log.handle
    pauses: list[float] = []
    found = reader(server, [])
    found.pause = pauses.append
    assert [event.id for event in found] == IDS
    assert pauses[0] < pauses[1] < pauses[2] > pauses[3] < pauses[4] < pauses[5]


def test_messages_that_are_no_events_are_passed_over(server: Any) -> None:
    odd = b'data: {"type":"log"}\n\nid: evt_001\ndata: no json\n\nid: evt_002\ndata: [1]\n\nretry: 5\n\n'
    frames = [frame(3, "run.completed")]

    class Odd(Log):
        async def handle(self, request: web.Request) -> web.StreamResponse:
            return web.Response(body=odd + b"".join(self.frames), content_type="text/event-stream")

    events, _ = read(server, Odd(frames, []))
    assert [event.id for event in events] == ["evt_003"]
