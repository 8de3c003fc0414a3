"""What is erased is gone and stays gone, whatever database the log lies in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crewship.blobs import BlobStore
from crewship.commands import deliveries, erasing
from crewship.commands import retention as retention_commands
from crewship.engine.eraser import Eraser
from crewship.engine.retention import Retention
from crewship.eventlog import Author, Change, EventLog, open_log
from crewship.eventlog.codec import encode
from crewship.eventlog.opening import key_store
from crewship.eventlog.recorder import Proposal
from crewship.secrets import installation_key
from crewship.views import Views
from crewship.views.postgres import PostgresViews
from crewship.views.sqlite import SqliteViews
from domain import delivery, erasure
from domain.deployment import DeploymentCreated
from domain.erasure import RunErased
from domain.event import Mark, output_of
from domain.output import ArtifactCollected, LogWritten
from domain.retention import Rule
from domain.run import RunFailed, RunRequested
from domain.thread import Freed, RunTaken, StateSet, ThreadCreated
from projections import ALL
from projections import runs as runs_view
from projections import threads as threads_view

AUTHOR = Author(by="key:k")
SECRET = "Ada Lovelace"
SECONDS = 20.0


class Place:
    """A whole log with its views, blobs and keys."""

    def __init__(self, log: EventLog, views: Views, blobs: BlobStore, folder: Path, url: str | None) -> None:
        self.log, self.views, self.blobs = log, views, blobs
        self.folder, self.url = folder, url

    async def shared_blobs(self, *texts: str) -> list[str]:
        return [(await self.blobs.put(text.encode())).sha256 for text in texts]

    async def run(self, run_id: str, *sha256: str, thread_id: str | None = None) -> None:
        """A run that failed and left these files."""
        requested = RunRequested(
            run_id=run_id,
            deployment_id="dep_1",
            version_id="ver_1",
            version_number=1,
            environment="production",
            thread_id=thread_id,
            input={"name": SECRET},
        )
        failed = RunFailed(run_id=run_id, reason="error", error=SECRET)
        said = [LogWritten(level="info", message=SECRET)]
        left = [
            ArtifactCollected(run_id=run_id, name=f"{SECRET} {at}", size=1, content_type="text/plain", sha256=one)
            for at, one in enumerate(sha256)
        ]
        await self.log.append(
            Change(run_id, 0, [requested, failed]), Change(output_of(run_id), 0, [*said, *left]), author=AUTHOR
        )

    async def thread(self, thread_id: str, *run_ids: str) -> None:
        """A thread that had these runs."""
        events: list[Any] = [ThreadCreated(thread_id=thread_id, deployment_id="dep_1", metadata={"user": SECRET})]
        for run_id in run_ids:
            events += [
                RunTaken(thread_id=thread_id, run_id=run_id),
                Freed(thread_id=thread_id, run_id=run_id, succeeded=True),
            ]
            await self.run(run_id, thread_id=thread_id)
        state = StateSet(thread_id=thread_id, checkpoint_id="c1", source="edit", values={"said": SECRET})
        await self.log.append(Change(thread_id, 0, events), Change(f"{thread_id}:state", 0, [state]), author=AUTHOR)

    @asynccontextmanager
    async def eraser(self) -> AsyncIterator[Eraser]:
        eraser = Eraser(self.log, self.views, self.blobs, "srv_1")
        await eraser.open()
        try:
            yield eraser
        finally:
            await eraser.close()

    async def gone(self, *subjects: str) -> None:
        """Wait until these were destroyed."""
        async with asyncio.timeout(SECONDS):
            for subject in subjects:
                with self.log.follower(0, (erasure.stream(subject),)) as follower:
                    await follower.next()
        await self.views.reached(self.log.appended, SECONDS)

    async def everything(self) -> bytes:
        """All that the log says, read anew and in the clear."""
        read = [event for batch in [await self.log.read(0, limit=10_000)] for event in batch]
        return b"\n".join(msgspec.json.encode([event.stream, event.event, event.erased]) for event in read)

    async def dump(self) -> bytes:
        tables = [table for projection in ALL for table in projection.tables]
        return msgspec.json.encode(
            {table.name: await self.views.rows(table.select().order_by(*table.primary_key)) for table in tables}
        )

    def keys(self) -> set[str]:
        store = key_store(self.folder, self.url)
        try:
            return {subject for subject, _ in store.page("", 1000)}
        finally:
            store.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    async with AsyncExitStack() as stack:
        log = await open_log(tmp_path, url, installation_key(tmp_path / "key"), stack)
        views = Views(PostgresViews(url) if url else SqliteViews(tmp_path / "views.db"), log)
        await views.open()
        stack.push_async_callback(views.close)
        blobs = BlobStore(tmp_path / "blobs")
        blobs.open()
        await log.append(Change("dep_1", 0, [DeploymentCreated(deployment_id="dep_1", name="crew")]), author=AUTHOR)
        yield Place(log, views, blobs, tmp_path, url)


async def test_an_erased_run_cannot_be_read_and_its_neighbour_can(place: Place):
    own, shared = await place.shared_blobs("own", "shared")
    await place.run("run_1", own, shared)
    await place.run("run_2", shared)
    await place.views.reached(
        place.log.appended, SECONDS
    )  # on PostgreSQL a reader sees a moment later what was written
    before = await place.log.read(0)
    async with place.eraser():
        assert await erasing.erase_run(place.log, "run_1", "request", AUTHOR) == ["run_1"]
        await place.gone("run_1")
    assert place.keys() == {"run_2"}
    assert (place.blobs.path(own).exists(), place.blobs.path(shared).exists()) == (False, True)
    after = (await place.log.read(0))[: len(before)]
    assert [(one.position, one.stream, one.version, one.at) for one in after] == [
        (one.position, one.stream, one.version, one.at) for one in before
    ]
    erased = {one.stream for one in after if one.erased}
    assert erased == {"run_1", "run_1:output"}
    assert (await place.everything()).count(SECRET.encode()) == 4  # of the neighbour: input, error, line, file's name
    row = await place.views.row(runs_view.GET, id="run_1")
    assert row is not None
    assert (row["status"], row["erased"], row["input"], row["error_message"]) == ("failed", True, None, None)


async def test_views_that_are_made_anew_say_the_same(place: Place):
    own, shared = await place.shared_blobs("own", "shared")
    await place.run("run_1", own, shared)
    await place.thread("thr_1", "run_2", "run_3")
    async with place.eraser():
        await erasing.erase_run(place.log, "run_1", "request", AUTHOR)
        await erasing.erase_thread(place.log, "thr_1", "request", AUTHOR)
        await place.gone("run_1", "thr_1")
    lived = await place.dump()
    assert SECRET.encode() not in lived
    await place.views.rebuild()
    assert await place.dump() == lived


async def test_a_thread_takes_its_runs_along(place: Place):
    await place.thread("thr_1", "run_1", "run_2")
    async with place.eraser():
        assert await erasing.erase_thread(place.log, "thr_1", "request", AUTHOR) == ["run_1", "run_2", "thr_1"]
        await place.gone("run_1", "run_2", "thr_1")
    assert place.keys() == set()
    assert SECRET.encode() not in await place.everything()
    row = await place.views.row(threads_view.GET, id="thr_1")
    assert row is not None
    assert (row["erased"], row["metadata"], row["values"], row["last_run_id"]) == (True, None, None, "run_2")
    before = place.log.appended
    await erasing.erase_thread(place.log, "thr_1", "request", AUTHOR)
    assert place.log.appended == before


async def test_what_a_former_life_left_open_is_seen_through(place: Place):
    own, *_ = await place.shared_blobs("own")
    await place.run("run_1", own)
    await erasing.erase_run(place.log, "run_1", "request", AUTHOR)
    assert place.keys() == {"run_1"}
    async with place.eraser(), place.eraser():  # and a second server does no harm
        await place.gone("run_1")
    assert place.keys() == set()
    assert not place.blobs.path(own).exists()


async def test_a_blob_that_two_erased_runs_named_goes(place: Place):
    shared, *_ = await place.shared_blobs("shared")
    await place.run("run_1", shared)
    await place.run("run_2", shared)
    for run_id in ("run_1", "run_2"):
        await erasing.erase_run(place.log, run_id, "request", AUTHOR)
    async with place.eraser():
        await place.gone("run_1", "run_2")
    assert not place.blobs.path(shared).exists()


async def test_a_blob_that_is_just_being_stored_again_stays(place: Place):
    shared, *_ = await place.shared_blobs("shared")
    await place.run("run_1", shared)
    await asyncio.sleep(0.01)
    await place.shared_blobs("shared")
    await erasing.erase_run(place.log, "run_1", "request", AUTHOR)
    async with place.eraser():
        await asyncio.sleep(0.3)
        assert place.blobs.path(shared).exists()
        await place.run("run_2", shared)
        await place.gone("run_1")
    assert place.blobs.path(shared).exists()


async def test_what_an_endpoint_answered_goes_and_does_not_come_back(place: Place):
    await place.run("run_1")
    at = datetime.now(UTC)
    stream = delivery.stream("dep_1", "whk_1", "run_1")
    requested = delivery.DeliveryRequested(
        delivery_id="dlv_1", webhook_id="whk_1", deployment_id="dep_1", kind="run.failed", at=at, run_id="run_1"
    )
    await place.log.append(Change(stream, 0, [requested]), author=AUTHOR)

    async def answered(number: int) -> None:
        assert await deliveries.begin(place.log, stream, "srv_1", number, timedelta(seconds=1), AUTHOR) is not None
        await deliveries.conclude(
            place.log,
            stream,
            number,
            AUTHOR,
            succeeded=False,
            duration_ms=1,
            status_code=500,
            error=None,
            response=f"no {SECRET}",
            retry_at=at,
        )

    await answered(1)
    async with place.eraser():
        await erasing.erase_run(place.log, "run_1", "request", AUTHOR)
        await place.gone("run_1")
        await answered(2)
    assert place.keys() == set()
    assert SECRET.encode() not in await place.everything()
    await place.views.reached(place.log.appended, SECONDS)
    assert SECRET.encode() not in await place.dump()


async def test_what_was_once_sealed_under_the_deployments_key_is_still_read(place: Place):
    await place.run("run_1")
    stream = delivery.stream("dep_1", "whk_1", "run_1")
    ended = delivery.AttemptEnded(delivery_id="dlv_1", number=1, succeeded=True, duration_ms=1, response="thanks")
    key = place.log._keys.ensure({"dep_1"})["dep_1"]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    stored = encode(ended, stream=stream, version=1, at=at, author=AUTHOR, mark=Mark(), key=key)
    await place.log.stored(lambda recorder: recorder.write([Proposal([(stream, 0)], [stored])]))
    (read,) = await place.log.stored(lambda _: place.log._read_stored(0, 10, (stream,)))
    assert (read.event, read.erased) == (ended, False)


async def test_retention_erases_by_age_and_by_number_and_spares_the_last_of_a_thread(place: Place):
    await place.thread("thr_1", "run_1", "run_2")
    for number in range(3, 8):
        await asyncio.sleep(0.002)  # the log counts milliseconds, and by the end of each run they are told apart
        await place.run(f"run_{number}")
    keeper = Retention(place.log, place.views, "srv_1", lambda: datetime.now(UTC) + timedelta(hours=2))
    await keeper.open()
    try:
        await retention_commands.set_rule(place.log, "dep_1", Rule(keep=3), AUTHOR)
        assert await erased(place, 3) == ["run_1", "run_3", "run_4"]
        await retention_commands.lift(place.log, "dep_1", AUTHOR)
        await retention_commands.set_rule(place.log, None, Rule(older_than_seconds=3600), AUTHOR)
        assert await erased(place, 6) == ["run_1", "run_3", "run_4", "run_5", "run_6", "run_7"]
    finally:
        await keeper.close()
    events = [one for one in await place.log.read(0, limit=1000) if isinstance(one.event, RunErased)]
    assert {(one.by, one.cause, one.event.why) for one in events} == {("server:srv_1", "retention", "retention")}


async def erased(place: Place, wanted: int = 0) -> list[str]:
    """The runs that were erased, once there are so many."""
    found: list[str] = []
    async with asyncio.timeout(SECONDS):
        while True:
            await place.views.reached(place.log.appended, SECONDS)
            rows = await place.views.rows(runs_view.listing(()), limit=100, offset=0)
            found = sorted(row["id"] for row in rows if row["erased"])
            if len(found) >= wanted:
                return found
            await asyncio.sleep(0.02)
