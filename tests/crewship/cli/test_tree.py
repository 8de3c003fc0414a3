"""The drawing of a run."""

import json
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest

from crewship.cli.stream import StreamEvent
from crewship.cli.tree import Tree


def event(kind: str, clock: str = "10:30:00", **payload: Any) -> StreamEvent:
    data = {"type": kind, "timestamp": f"2024-01-15T{clock}.123Z", "payload": payload, **payload}
    return StreamEvent("evt_001", kind, data, json.dumps(data))


def drawn(*events: StreamEvent, logs: bool = False) -> list[str]:
    tree = Tree(logs=logs, zone=UTC)
    return [line.text for event in events for line in tree.lines(event)]


def test_the_example_of_the_documentation_is_drawn_as_it_stands_there() -> None:
    events = [
        event("run.created", run_id="run_abc123"),
        event("run.started", run_id="run_abc123"),
        event("log", "10:30:01", level="info", message="Starting crew execution"),
        event("agent.started", "10:30:02", agent="Researcher", task="Research AI trends"),
        event("tool.called", "10:30:05", tool="web_search", input="AI agents 2024"),
        event("tool.result", "10:30:06", tool="web_search", output="…"),
        event("log", "10:30:06", level="info", message="Found 15 relevant results"),
        event("agent.completed", "10:30:12", agent="Researcher", task="…", output="…"),
        event("agent.started", "10:30:13", agent="Writer", task="…"),
        event("token", "10:30:14", agent="Writer", text="Once"),
        event("agent.completed", "10:30:45", agent="Writer", task="…", output="…"),
        event("checkpoint", "10:30:45", thread_id="thr_1", checkpoint_id="1"),
        event("artifact", "10:30:46", name="report.md", size=3, content_type="text/markdown"),
        event("run.completed", "10:30:46", run_id="run_abc123", duration_ms=45200, result={}),
    ]
    assert drawn(*events) == [
        "▶ Run started: run_abc123",
        "├─ [10:30:01] Starting crew execution",
        "├─ [10:30:02] Researcher agent starting task",
        '├─ [10:30:05] Tool: web_search("AI agents 2024")',
        "├─ [10:30:12] Researcher agent completed task",
        "├─ [10:30:13] Writer agent starting task",
        "├─ [10:30:45] Writer agent completed task",
        "├─ [10:30:46] Artifact: report.md",
        "✅ Run completed in 45.2s",
    ]


def test_times_are_those_of_the_zone() -> None:
    tree = Tree(zone=timezone(timedelta(hours=2)))
    assert tree.lines(event("artifact", name="a"))[0].text == "├─ [12:30:00] Artifact: a"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("AI", '"AI"'),
        ({"query": "AI", "limit": 3, "deep": None}, '"AI", 3, null'),
        ({}, ""),
        (None, ""),
        ([1, "a"], '[1, "a"]'),
        ("zwei\nZeilen", '"zwei\\nZeilen"'),
        ("x" * 100, '"' + "x" * 57 + '…"'),
        ({"a": "x" * 100}, '"' + "x" * 57 + '…"'),
        ({"$truncated": {"sha256": "…", "size": 9, "preview": "begin"}}, '"begin…"'),
    ],
)
def test_a_tools_input_is_shown_short(given: Any, shown: str) -> None:
    assert drawn(event("tool.called", tool="t", input=given)) == [f"├─ [10:30:00] Tool: t({shown})"]


def test_errors_and_warnings_are_drawn_with_their_text() -> None:
    assert drawn(
        event("tool.error", tool="search", error="no network"),
        event("agent.error", agent="Writer", error="gave up"),
        event("log", level="warning", message="slow"),
        event("log", level="error", message="broken"),
    ) == [
        "├─ [10:30:00] Tool search failed: no network",
        "├─ [10:30:00] Writer agent failed: gave up",
        "├─ [10:30:00] warning: slow",
        "├─ [10:30:00] error: broken",
    ]


def test_a_failure_shows_the_last_lines_of_its_trace() -> None:
    trace = "Traceback\n" + "".join(f"  line {n}\n" for n in range(20)) + "ValueError: no\n"
    lines = drawn(event("run.failed", run_id="run_1", error="ValueError: no", stack_trace=trace))
    assert lines[0] == "❌ Run failed: ValueError: no"
    assert lines[-1] == "   ValueError: no"
    assert len(lines) == 7


def test_a_failure_without_a_trace_and_a_cancellation() -> None:
    assert drawn(event("run.failed", error="lost", stack_trace=None)) == ["❌ Run failed: lost"]
    assert drawn(event("run.canceled", run_id="run_1")) == ["⏹ Run canceled"]


def test_logs_and_tokens_are_drawn_when_asked_for() -> None:
    assert drawn(event("log", message="a"), event("token", agent="A", text="b"), logs=True) == [
        "├─ [10:30:00] a",
        "├─ [10:30:00] A: b",
    ]


def test_a_first_line_of_the_project_itself_is_not_drawn() -> None:
    assert drawn(event("log", level="info", message="hello")) == []


def test_nothing_in_an_event_steers_the_terminal() -> None:
    text = "\n".join(
        drawn(
            event("artifact", name="\x1b[2Ja\rb"),
            event("run.failed", error="\x1b]0;title\x07", stack_trace="a\x1b[31m\n\x9b2J"),
        )
    )
    assert not set(text) & {"\x1b", "\x07", "\r", "\x9b"}


@pytest.mark.parametrize(
    ("took", "shown"), [(300, "0.3s"), (45200, "45.2s"), (99_940, "99.9s"), (125_000, "2m 05s"), (3_720_000, "1h 02m")]
)
def test_durations(took: int, shown: str) -> None:
    assert drawn(event("run.completed", duration_ms=took)) == [f"✅ Run completed in {shown}"]


def test_an_event_that_lacks_everything_is_drawn_all_the_same() -> None:
    for kind in ("run.started", "agent.started", "tool.called", "artifact", "run.failed", "run.completed", "log"):
        Tree(logs=True).lines(StreamEvent("evt_1", kind, {}, "{}"))
    assert Tree().lines(StreamEvent("evt_1", "artifact", {"payload": {"name": "a"}}, ""))[0].text.startswith("├─ [--")
