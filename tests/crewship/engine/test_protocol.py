"""A journal's lines, as the server reads them."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crewship.engine.protocol import (
    AgentCompleted,
    AgentError,
    AgentStarted,
    Channel,
    Checkpoint,
    Exit,
    Failure,
    Interrupt,
    Interrupted,
    Line,
    Log,
    Ready,
    Result,
    Token,
    ToolCalled,
    ToolError,
    ToolResult,
    Values,
    Writes,
    parse,
)

AT = datetime(2026, 5, 4, 3, 2, 1, 987000, UTC)


@pytest.mark.parametrize(
    "message",
    [
        Ready(),
        Log("warning", "careful", "stderr", truncated=True),
        AgentStarted("Ann", "look"),
        AgentCompleted("Ann", "look", {"found": [1]}),
        AgentError("Ann", "ValueError: no"),
        ToolCalled("web", {"q": "x"}),
        ToolResult("web", None),
        ToolError("web", "gone"),
        Token("Ann", "Hel"),
        Checkpoint("", "1f0", b"\0\xff", None, 1, "loop", {"x": Channel("0001.5", b"1")}, {"x": "0001.5"}, {"x": 1}),
        Checkpoint("sub:1", "1f1", b""),
        Writes("", "1f0", "task", "~path", [("x", "AA==")]),
        Interrupted([Interrupt("abc", {"question": "sure?"}), Interrupt("def")]),
        Values({"messages": [{"role": "user", "content": "hello"}]}),
        Result({"n": 10**40}),
        Failure("ValueError: no", None),
        Exit(code=1),
        Exit(signal=9, reason="timeout", message="took too long", lost_logs=3),
    ],
)
def test_each_message_is_read(message):
    fields = msgspec.to_builtins(message)
    line = msgspec.json.encode({"n": 7, "at": "2026-05-04T03:02:01.987Z", **fields})
    assert parse(line) == Line(7, AT, message)
    assert parse(line + b"\n") == Line(7, AT, message)


def test_fields_of_a_later_runner_are_ignored():
    line = b'{"n":1,"at":"2026-05-04T03:02:01.987Z","type":"ready","version":9}'
    assert parse(line).message == Ready()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"n":1}',
        b'{"n":0,"at":"2026-05-04T03:02:01.987Z","type":"ready"}',
        b'{"n":1,"at":"2026-05-04T03:02:01.987","type":"ready"}',
        b'{"n":1,"at":"0001-01-01T00:00:00+12:00","type":"ready"}',
        b'{"n":1,"at":"2026-05-04T03:02:01.987Z","type":"ready"',
        b'{"n":1,"at":"2026-05-04T03:02:01.987Z","type":"checkpoint","ns":"","checkpoint_id":"1f0","data":"no!"}',
        b'{"n":1,"at":"2026-05-04T03:02:01.987Z","type":"writes","ns":"","checkpoint_id":"1f0"}',
        b'{"n":1,"at":"2026-05-04T03:02:01.987Z","type":"interrupted","interrupts":null}',
    ],
)
def test_what_is_no_protocol_is_a_warning_that_shows_it(line):
    found = parse(line)
    assert isinstance(found.message, Log)
    assert found.message.level == "warning"
    assert found.message.message.endswith(line[:1000].decode("utf-8", "replace"))
    assert found.message.truncated == (len(line) > 1000)


def test_a_warning_keeps_the_place_of_its_line():
    found = parse(b'{"n":5,"at":"2026-05-04T03:02:01.987Z","type":"made.up"}')
    assert (found.number, found.at) == (5, AT)
    assert isinstance(found.message, Log)


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_raise(line):
    assert isinstance(parse(line), Line)
