"""Records a golden log: `python -m tests.golden.record NAME` writes tests/golden/NAME, once and for ever.

A golden log is what a release has written: its stored rows, its keys, and what they meant then. Every later release
must read it and understand the same. Record a new one when the catalog grows; never touch one that has landed.
"""

import asyncio
import base64
import sys
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from crewship.eventlog import Author, Change, EventLog, open_log
from crewship.secrets import installation_key
from crewship.views import Views
from crewship.views.sqlite import SqliteViews
from domain import access, deployment, name, output, run, thread, variables, version
from domain.event import Mark, Recorded, subject
from projections import ALL
from tests.golden.history_attempts import attempts
from tests.golden.history_audit import audit
from tests.golden.history_erasure import erasures
from tests.golden.history_repeats import repeats
from tests.golden.history_schedules import schedules
from tests.golden.history_tables import tables
from tests.golden.history_webhooks import webhooks

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
STORED = output.Stored(sha256="ab" * 32, size=300_000, preview="{")
MANIFEST = {"framework": "langgraph", "entrypoint": "graph:graph"}


def history() -> list[Change]:
    """One of everything that can happen, in an order in which it could."""
    return [
        Change(
            "key_1",
            0,
            [
                access.KeyCreated(key_id="key_1", name="ci", scopes=["deploy"], secret_sha256="cd" * 32, expires_at=AT),
                access.KeyUsed(key_id="key_1"),
                access.KeyRevoked(key_id="key_1"),
            ],
        ),
        Change("name:crew", 0, [name.NameClaimed(name="crew", deployment_id="dep_1")]),
        Change(
            "dep_1",
            0,
            [
                deployment.DeploymentCreated(deployment_id="dep_1", name="crew"),
                deployment.VersionNumbered(
                    deployment_id="dep_1",
                    version_id="ver_1",
                    version_number=1,
                    environment="production",
                    framework="langgraph",
                ),
                deployment.VersionActivated(
                    deployment_id="dep_1",
                    environment="production",
                    version_id="ver_1",
                    version_number=1,
                    reason="deploy",
                ),
            ],
        ),
        Change("ver_1", 0, _versions("ver_1", ok=True)),
        Change("ver_2", 0, _versions("ver_2", ok=False)),
        Change("dep_1:env", 0, _variables()),
        *run_of("run_1", run.RunSucceeded(run_id="run_1", duration_ms=7, result={"ü": [1, 2.5, None, 2**70]})),
        *run_of("run_2", run.RunSucceeded(run_id="run_2", duration_ms=7, stored_result=STORED), large=True),
        *run_of("run_3", run.RunFailed(run_id="run_3", reason="error", error="E: x", stack_trace="at", duration_ms=1)),
        *run_of("run_4", run.RunCanceled(run_id="run_4", canceled_at=AT), asked=True),
        Change("run_1:output", 0, _output(), [Mark(happened_at=AT, line=number) for number in range(1, 13)]),
        *_threads(),
        *attempts(),
        *webhooks(),
        *schedules(),
        *audit(),
        *repeats(),
        *erasures(),
        Change("idem:ef", 0, [name.RequestRemembered(fingerprint="ef" * 32, run_id="run_1")]),
        Change("dep_2", 0, [deployment.DeploymentCreated(deployment_id="dep_2", name="gone")]),
        Change(
            "dep_2",
            1,
            [
                deployment.DeploymentClosed(deployment_id="dep_2"),
                deployment.DeploymentReopened(deployment_id="dep_2"),
                deployment.DeploymentDeleted(deployment_id="dep_2", name="gone"),
            ],
        ),
        *tables(),
        Change("name:gone", 0, [name.NameClaimed(name="gone", deployment_id="dep_2"), name.NameReleased(name="gone")]),
    ]


def _versions(version_id: str, ok: bool) -> list[version.VersionEvent]:
    created = version.VersionCreated(
        version_id=version_id,
        deployment_id="dep_1",
        version_number=1 if ok else 2,
        environment="production",
        source_sha256="12" * 32,
        size=10,
        files=3,
        manifest=MANIFEST,
    )
    if not ok:
        return [created, version.VersionFailed(version_id=version_id, error="no graph")]
    ready = version.VersionReady(version_id=version_id, version_number=1, environment="production", activated=True)
    return [created, ready]


def _variables() -> list[variables.VariablesEvent]:
    return [
        variables.VariablesSet(deployment_id="dep_1", names=["A", "B"], values={"A": "1", "B": "secret"}),
        variables.VariableUnset(deployment_id="dep_1", name="A"),
    ]


def run_of(run_id: str, end: run.RunEvent, asked: bool = False, large: bool = False) -> list[Change]:
    requested = run.RunRequested(
        run_id=run_id,
        deployment_id="dep_1",
        version_id="ver_1",
        version_number=1,
        environment="production",
        input=None if large else {"topic": "x"},
        stored_input=STORED if large else None,
    )
    events: list[run.RunEvent] = [
        requested,
        run.RunClaimed(run_id=run_id, server_id="srv_1", epoch=3),
        run.RunStarted(run_id=run_id, started_at=AT),
        *([run.CancelRequested(run_id=run_id)] if asked else []),
        end,
    ]
    return [Change(run_id, 0, events)]


def _threads() -> list[Change]:
    channels = {"messages": thread.Channel(version="1.2", sha256="56" * 32)}
    step = thread.CheckpointSaved(
        thread_id="thr_1",
        run_id="run_5",
        line=2,
        ns="",
        checkpoint_id="c1",
        sha256="78" * 32,
        channels=channels,
        step=0,
        source="loop",
        values={"messages": ["hi"]},
    )
    nested = msgspec.structs.replace(step, ns="sub:1", line=3, checkpoint_id="c2", parent_id="c1", values=None)
    writes = thread.WritesSaved(
        thread_id="thr_1", run_id="run_5", line=4, ns="", checkpoint_id="c1", task_id="t", sha256="90" * 32
    )
    state = thread.StateSet(
        thread_id="thr_1",
        checkpoint_id="c1",
        source="run",
        run_id="run_5",
        graph_checkpoint="c1",
        values={"messages": ["hi"]},
    )
    asked = [thread.Interrupt(id="i1", value={"question": "Really?"})]
    requested = run.RunRequested(
        run_id="run_5",
        deployment_id="dep_1",
        version_id="ver_1",
        version_number=1,
        environment="production",
        thread_id="thr_1",
        kind="edit",
        resume=run.Resume("yes"),
        update=run.Update(values={"a": 1}, as_node="planner", checkpoint_id="c0"),
    )
    decisions: list[thread.ThreadEvent] = [
        thread.ThreadCreated(thread_id="thr_1", deployment_id="dep_1", metadata={"user": "ada"}, copied_from="thr_0"),
        thread.MetadataChanged(thread_id="thr_1", metadata={"user": "bob"}),
        thread.RunTaken(thread_id="thr_1", run_id="run_5"),
        thread.RunEnqueued(thread_id="thr_1", run_id="run_6", first=True),
        thread.RunDequeued(thread_id="thr_1", run_id="run_6"),
        thread.Freed(thread_id="thr_1", run_id="run_5", succeeded=True, interrupted=True, interrupts=asked),
        thread.RunTaken(thread_id="thr_1", run_id="run_7"),
        thread.Freed(thread_id="thr_1", run_id="run_7", succeeded=False),
    ]
    gone = [
        thread.ThreadCreated(thread_id="thr_2", deployment_id="dep_1"),
        thread.ThreadDeleted(thread_id="thr_2"),
    ]
    return [
        Change("run_5", 0, [requested, run.RunInterrupted(run_id="run_5", interrupts=[{"id": "i1", "value": 1}])]),
        Change("thr_1", 0, decisions),
        Change("thr_1:state", 0, [step, nested, writes, state]),
        Change("thr_2", 0, gone),
    ]


def _output() -> list[output.OutputEvent]:
    return [
        output.LogWritten(level="info", message="hello", stream="stdout", truncated=True),
        output.AgentStarted(agent="planner", task="plan"),
        output.ToolCalled(tool="search", input={"q": "x"}),
        output.ToolReturned(tool="search", stored=STORED),
        output.ToolFailed(tool="search", error="E: y"),
        output.TokensGenerated(agent="planner", text="tok"),
        output.AgentCompleted(agent="planner", task="plan", output={"a": 1}),
        output.AgentFailed(agent="planner", error="E: z"),
        output.OutputAdopted(server_id="srv_1", epoch=4),
        output.CheckpointReached(thread_id="thr_1", checkpoint_id="c1"),
        output.LogWritten(level="error", message="bye", stream="stderr"),
        output.ArtifactCollected(run_id="run_1", name="a/b.md", size=3, content_type="text/markdown", sha256="34" * 32),
    ]


async def everything(log: EventLog) -> list[Recorded]:
    """The whole log."""
    return [event for batch in [await log.read(0, limit=10_000)] for event in batch]


def plain(recorded: Recorded) -> dict[str, Any]:
    """An event and its place, with every field."""
    place = {name: getattr(recorded, name) for name in Recorded.__struct_fields__ if name != "event"}
    fields = {name: getattr(recorded.event, name) for name in recorded.event.__struct_fields__}
    shown: dict[str, Any] = msgspec.json.decode(msgspec.json.encode({**place, "event": fields}))
    return {**shown, "tag": recorded.event.tag()}


async def meaning(log: EventLog, folder: Path) -> dict[str, Any]:
    """All views of a log, table by table."""
    views = Views(SqliteViews(folder / "views.db"), log)
    await views.open()
    try:
        tables = [table for projection in ALL for table in projection.tables]
        return {table.name: await views.rows(table.select().order_by(*table.primary_key)) for table in tables}
    finally:
        await views.close()


async def record(target: Path) -> None:
    """Write a golden log to a folder that must not exist."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        installation = installation_key(folder / "installation.key")
        async with AsyncExitStack() as stack:
            log = await open_log(folder, None, installation, stack)
            author = Author(by="key:key_1", cause="run_0", request_id="req_1")
            for change in history():
                await log.append(change, author=author)
            rows = log._recorder.select_notifications(None, 10_000)
            subjects = {subject(str(row.originator_id)) for row in rows}
            keys = {name: base64.b64encode(key).decode() for name, key in log._keys.keys(subjects).items() if key}
            stored = [
                [row.id, row.originator_id, row.originator_version, row.topic, base64.b64encode(row.state).decode()]
                for row in rows
            ]
            (target / "log.jsonl").write_bytes(b"\n".join(msgspec.json.encode(row) for row in stored) + b"\n")
            (target / "keys.json").write_bytes(msgspec.json.format(msgspec.json.encode(keys)))
            events = [msgspec.json.encode(plain(event)) for event in await everything(log)]
            (target / "events.jsonl").write_bytes(b"\n".join(events) + b"\n")
            shown = await meaning(log, folder)
            (target / "views.json").write_bytes(msgspec.json.format(msgspec.json.encode(shown)))


if __name__ == "__main__":
    place = Path(__file__).parent / sys.argv[1]
    place.mkdir()
    asyncio.run(record(place))
