"""Events a second when the views are made anew."""

import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from crewship.eventlog import Author, Change, open_log
from crewship.secrets import installation_key
from crewship.views import Views
from crewship.views.sqlite import SqliteViews
from domain.output import LogWritten
from domain.run import RunClaimed, RunRequested, RunStarted, RunSucceeded
from tests.bench.figures import tell

AUTHOR = Author(by="key:bench")
AT = datetime(2026, 1, 1, tzinfo=UTC)
LINES = 8


def changes(run_id: str) -> list[Change]:
    """What a small run leaves in the log: four decisions and eight lines."""
    requested = RunRequested(
        run_id=run_id,
        deployment_id="dep_bench",
        version_id="ver_bench",
        version_number=1,
        environment="production",
        input={"topic": "isolation"},
    )
    decisions = [
        requested,
        RunClaimed(run_id=run_id, server_id="srv", epoch=1),
        RunStarted(run_id=run_id, started_at=AT),
        RunSucceeded(run_id=run_id, duration_ms=1, result={"report": "x" * 200}),
    ]
    lines = [LogWritten(level="info", message=f"line {number}") for number in range(LINES)]
    return [Change(run_id, 0, decisions), Change(f"{run_id}:output", 0, lines)]


async def measure(folder: Path, runs: int) -> None:
    """Write the log, then rebuild."""
    async with AsyncExitStack() as stack:
        log = await open_log(folder, None, installation_key(folder / "installation.key"), stack)
        for start in range(0, runs, 50):
            batch = [change for number in range(start, start + 50) for change in changes(f"run_{number}")]
            await log.append(*batch, author=AUTHOR)
        views = Views(SqliteViews(folder / "views.db"), log)
        await views.open()
        began = time.perf_counter()
        count = await views.rebuild()
        seconds = time.perf_counter() - began
        began, after = time.perf_counter(), 0
        while events := await log.read(after, limit=2000):
            after = events[-1].position
        reading = time.perf_counter() - began
        tell(
            "events/s rebuilt into views",
            f"{count / seconds:,.0f}",
            f"reading and opening them: {count / reading:,.0f}",
            reading / seconds,
        )
        await views.close()
