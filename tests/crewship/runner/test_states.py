"""What a thread keeps, on its way through the guard: whole and checked, or the run fails."""

import os

import pytest

from crewship.engine.protocol import (
    Channel,
    Checkpoint,
    Failure,
    Interrupt,
    Interrupted,
    Log,
    Result,
    ToolCalled,
    Values,
    Writes,
    parse,
)
from crewship.runner.python.crewship_runner.guard import output
from crewship.runner.python.crewship_runner.guard.child import Child
from crewship.runner.python.crewship_runner.guard.journal import Journal

CHECKPOINT = """
checkpoint = {
    "ns": "", "checkpoint_id": "1f0", "parent_id": None, "step": -1, "source": "input", "data": "AP8=",
    "channels": {"x": {"version": "1", "data": "MQ=="}}, "versions": {"x": "1", "y": "0"}, "values": {"x": [1, None]},
}
writes = {"ns": "", "checkpoint_id": "1f0", "task_id": "t", "task_path": "", "writes": [["x", "MQ=="]]}
"""


def test_each_kind_reaches_the_journal(guarded):
    guarded.child_code(
        CHECKPOINT
        + """
report("checkpoint", **checkpoint, more="is dropped")
report("writes", **writes)
report("interrupted", interrupts=[{"id": "a", "value": {"q": 1}, "more": 1}, {"id": "b"}])
report("values", values={"topic": [1]}, more=1)
report("result", output=None)
"""
    )
    guarded.end()
    assert guarded.messages()[1:-1] == [
        Checkpoint(
            "", "1f0", b"\0\xff", None, -1, "input", {"x": Channel("1", b"1")}, {"x": "1", "y": "0"}, {"x": [1, None]}
        ),
        Writes("", "1f0", "t", "", [("x", "MQ==")]),
        Interrupted([Interrupt("a", {"q": 1}), Interrupt("b", None)]),
        Values({"topic": [1]}),
        Result(None),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        "report('checkpoint', **{**checkpoint, 'data': 'AP8'})",
        "report('checkpoint', **{**checkpoint, 'data': 'A P8='})",
        "report('checkpoint', **{**checkpoint, 'data': 'Aé8='})",
        "report('checkpoint', **{**checkpoint, 'data': None})",
        "report('checkpoint', **{**checkpoint, 'channels': []})",
        "report('checkpoint', **{**checkpoint, 'channels': {'x': 1}})",
        "report('checkpoint', **{**checkpoint, 'versions': {'x': 1}})",
        "report('checkpoint', **{**checkpoint, 'checkpoint_id': 1})",
        "report('checkpoint', **{**checkpoint, 'parent_id': 1})",
        "report('writes', **{**writes, 'writes': [['x']]})",
        "report('writes', **{**writes, 'writes': None})",
        "report('interrupted', interrupts=[1])",
        "report('interrupted', interrupts=None)",
        "report('values', values=[1])",
        "report('values')",
        "raw(json.dumps({'type': 'checkpoint', **checkpoint}).replace('[1, null]', '1e999').encode() + b'\\n')",
        'raw(b\'{"type":"checkpoint","va\')',
        "report('checkpoint', **{**checkpoint, 'values': [[]] * 1_000_001})",
    ],
)
def test_what_is_none_of_them_fails_the_run(guarded, bad):
    guarded.child_code(CHECKPOINT + bad + "\nreport('result', output='too late')")
    guarded.end()
    assert guarded.messages(Checkpoint, Writes, Interrupted, Result) == []
    assert len(guarded.messages(Failure)) == 1


@pytest.mark.parametrize("size", ["40 << 20", "(32 << 20) + 64"])
def test_more_than_32_mib_at_once_fails_the_run(guarded, size):
    guarded.child_code(f"report('checkpoint', values='x' * ({size}))")
    guarded.end()
    assert guarded.messages(Failure)[0].error == (
        "the thread's state is too large: one report of it has more than 32 MiB"
    )


def test_much_less_than_32_mib_is_kept_whole(guarded):
    guarded.child_code(CHECKPOINT + "report('checkpoint', **{**checkpoint, 'values': 'x' * (30 << 20)})")
    guarded.end()
    assert len(guarded.messages(Checkpoint)[0].values) == 30 << 20


def test_the_journals_budget_does_not_count_for_them(tmp_path):
    path = tmp_path / "journal"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    journal = Journal(fd, limit=10)
    journal.add("tool.called", tool="web", input=None)
    journal.add("interrupted", interrupts=[])
    journal.flush()
    os.close(fd)
    kinds = [type(parse(line).message) for line in path.read_bytes().splitlines()]
    assert kinds == [Log, Interrupted]
    assert ToolCalled not in kinds


def test_all_that_a_run_may_report_of_them_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "STATES_LIMIT", 250)
    reading, writing = zip(*(os.pipe() for _ in range(3)), strict=True)
    fd = os.open(tmp_path / "journal", os.O_WRONLY | os.O_CREAT)
    journal = Journal(fd)
    told = output.Output(Child(0, *reading), journal)
    for _ in range(4):
        os.write(writing[2], b'{"type":"interrupted","interrupts":[{"id":"%s"}]}\n' % (b"x" * 50))
    for end in writing:
        os.close(end)
    while told.pump():
        journal.flush()
    told.finish()
    journal.flush()
    os.close(fd)
    messages = [parse(line).message for line in (tmp_path / "journal").read_bytes().splitlines()]
    assert [type(message) for message in messages] == [Interrupted, Interrupted, Log, Failure, Log]
    assert messages[3].error.startswith("the thread's state is too large: the run reported more than")
