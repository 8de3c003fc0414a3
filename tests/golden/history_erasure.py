"""A run and a thread that are erased, and rules of retention, for the golden log."""

from crewship.eventlog import Change
from domain import erasure, retention, run, thread


def erasures() -> list[Change]:
    """Decided, and carried out for the run; a rule of the installation, one of a deployment that is lifted again.

    The data key itself stays, so that what was written can be compared.
    """
    requested = run.RunRequested(
        run_id="run_90",
        deployment_id="dep_1",
        version_id="ver_1",
        version_number=1,
        environment="production",
        input={"name": "Ada"},
    )
    ended = run.RunFailed(run_id="run_90", reason="error", error="Ada is unknown")
    ruled: list[retention.RetentionEvent] = [
        retention.RetentionSet(deployment_id="dep_1", older_than_seconds=86_400, keep=100),
        retention.RetentionLifted(deployment_id="dep_1"),
    ]
    return [
        Change("run_90", 0, [requested, ended, erasure.RunErased(run_id="run_90", why="retention")]),
        Change("run_90:erasure", 0, [erasure.DataDestroyed(subject="run_90")]),
        Change(
            "thr_90",
            0,
            [
                thread.ThreadCreated(thread_id="thr_90", deployment_id="dep_1", metadata={"user": "Ada"}),
                erasure.ThreadErased(thread_id="thr_90"),
            ],
        ),
        Change("installation:retention", 0, [retention.RetentionSet(keep=1_000)]),
        Change("dep_1:retention", 0, ruled),
    ]
