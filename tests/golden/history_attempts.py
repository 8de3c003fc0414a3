"""What runs do more than once, and threads whose state cannot be used, for the golden log."""

from datetime import UTC, datetime

from crewship.eventlog import Change
from domain import run, thread

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def attempts() -> list[Change]:
    """A run that repeats another, and is tried again; a thread in error, and mended."""
    requested = run.RunRequested(
        run_id="run_9",
        deployment_id="dep_1",
        version_id="ver_1",
        version_number=1,
        environment="production",
        input={"topic": "x"},
        rerun_of="run_1",
    )
    tried: list[run.RunEvent] = [
        requested,
        run.RunClaimed(run_id="run_9", server_id="srv_1", epoch=3),
        run.RunStarted(run_id="run_9", started_at=AT),
        run.RunRetried(run_id="run_9", attempt=2, reason="error", not_before=AT, error="E: x"),
        run.RunCanceled(run_id="run_9", canceled_at=AT),
    ]
    broken: list[thread.ThreadEvent] = [
        thread.ThreadCreated(thread_id="thr_9", deployment_id="dep_1"),
        thread.RunTaken(thread_id="thr_9", run_id="run_10"),
        thread.Freed(thread_id="thr_9", run_id="run_10", succeeded=False, unusable=True),
    ]
    return [
        Change("run_9", 0, tried),
        Change("thr_9", 0, broken),
        Change("thr_9", 3, [thread.Mended(thread_id="thr_9")]),
    ]
