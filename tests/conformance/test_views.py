"""What holds for views, whatever database they lie in."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from crewship.eventlog import Author, Change, EventLog, open_log
from crewship.secrets import installation_key
from crewship.views import Views, ViewStore
from crewship.views.postgres import PostgresViews
from crewship.views.runner import Overtaken, fingerprint
from crewship.views.sqlite import SqliteViews
from domain.errors import Unavailable
from domain.output import LogWritten
from domain.run import RunFailed
from projections import ALL
from projections import runs as runs_view
from projections.projection import Projection, Write
from tests.golden.record import history, run_of

AUTHOR = Author(by="key:k")


class Place:
    """A log, and where its views lie."""

    def __init__(self, log: EventLog, folder: Path, url: str | None) -> None:
        self.log = log
        self._folder = folder
        self._url = url

    def store(self) -> ViewStore:
        return PostgresViews(self._url) if self._url else SqliteViews(self._folder / "views.db")

    def leftovers(self) -> list[str]:
        """What lies beside the views that a start opens."""
        if self._url:
            with psycopg.connect(self._url) as connection:
                query = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'crewship_views_%'"
                return [name for (name,) in connection.execute(query)]
        return [path.name for path in sorted(self._folder.glob("views*.db"))][:-1]

    async def views(self, projections: tuple[Projection, ...] = ALL) -> Views:
        views = Views(self.store(), self.log, projections)
        await views.open()
        return views


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    async with AsyncExitStack() as stack:
        log = await open_log(tmp_path, url, installation_key(tmp_path / "key"), stack)
        yield Place(log, tmp_path, url)


async def dump(views: Views) -> bytes:
    tables = [table for projection in ALL for table in projection.tables]
    rows = {table.name: await views.rows(table.select().order_by(*table.primary_key)) for table in tables}
    return msgspec.json.encode(rows)


async def write_history(log: EventLog) -> None:
    for change in history():
        await log.append(change, author=AUTHOR)


async def test_views_follow_the_log(place: Place):
    views = await place.views()
    await write_history(place.log)
    await views.reached(place.log.appended, 10)
    statuses = {row["id"]: row["status"] for row in await views.rows(runs_view.listing(()), limit=100, offset=0)}
    ended = {"run_1": "succeeded", "run_2": "succeeded", "run_3": "failed", "run_4": "canceled"}
    assert ended.items() <= statuses.items()
    await views.close()


async def test_a_rebuild_gives_the_same_bytes(place: Place):
    views = await place.views()
    await write_history(place.log)
    await views.reached(place.log.appended, 10)
    before = await dump(views)
    await views.close()
    again = await place.views()
    assert await dump(again) == before
    assert await again.rebuild() == place.log.head
    assert await dump(again) == before
    await again.close()


async def test_events_that_are_projected_twice_change_nothing(place: Place):
    await write_history(place.log)
    views = await place.views()
    before = await dump(views)
    await views.close()
    store = place.store()
    await store.open(ALL, fingerprint(ALL))
    for event in await place.log.read(0, limit=1000):
        writes = [write for projection in ALL for write in projection.project(event)]
        await store.apply(writes, event.position)
        await store.apply(writes, event.position)
    await store.close()
    again = await place.views()
    assert await dump(again) == before
    await again.close()


async def test_another_meaning_makes_the_views_anew(place: Place):
    await write_history(place.log)
    views = await place.views()
    await views.close()
    (runs, *others) = ALL
    changed = (Projection(runs.name, runs.version + 1, runs.tables, lambda _: iter(())), *others)
    emptied = await place.views(changed)
    assert await emptied.rows(runs_view.listing(()), limit=10, offset=0) == []
    await emptied.close()


async def test_a_batch_and_its_cursor_are_one(place: Place):
    await write_history(place.log)
    views = await place.views()
    before = await dump(views)
    await views.close()
    store = place.store()
    await store.open(ALL, fingerprint(ALL))
    values: dict[str, Any] = {"run": "run_1", "started": "changed"}
    with pytest.raises((sqlite3.Error, psycopg.Error)):
        await store.apply([Write(runs_view.START, values), Write(runs_view.INSERT, {"id": None})], 10_000)
    await store.close()
    again = await place.views()
    assert again.position == place.log.head
    assert await dump(again) == before
    await again.close()


async def test_waiting_for_what_is_not_there_ends(place: Place):
    views = await place.views()
    with pytest.raises(Unavailable, match="lag behind"):
        await views.reached(place.log.head + 1, 0.05)
    await views.close()


async def test_text_that_a_database_cannot_hold_breaks_nothing(place: Place):
    views = await place.views()
    (change,) = run_of("run_9", RunFailed(run_id="run_9", reason="error", error="a\0b", stack_trace="\0"))
    await place.log.append(change, author=AUTHOR)
    await place.log.append(Change("run_9:output", 0, [LogWritten(level="info", message="\0")]), author=AUTHOR)
    await views.reached(place.log.appended, 10)
    row = await views.row(runs_view.GET, id="run_9")
    assert row is not None
    assert row["error_message"] in ("a\0b", "a\ufffdb")
    await views.close()


async def test_views_are_renewed_while_events_come_and_readers_read(place: Place):
    views = await place.views()
    await write_history(place.log)
    await views.reached(place.log.appended, 10)
    query = runs_view.listing(())
    expected = await views.rows(query, limit=1000, offset=0)
    written = 0
    views.renew()
    while (views.renewal is None or views.renewal.state == "running") and written < 500:
        written += 1
        await place.log.append(
            *run_of(f"run_z{written}", RunFailed(run_id=f"run_z{written}", reason="lost")), author=AUTHOR
        )
        seen = await views.rows(query, limit=1000, offset=0)
        assert seen[-len(expected) :] == expected
    assert (views.renewal.state, views.renewal.error) == ("done", None)
    assert written
    await views.reached(place.log.appended, 10)
    after = await dump(views)
    await views.close()
    again = await place.views()
    assert again.position == place.log.head
    assert await dump(again) == after
    await again.rebuild()
    assert await dump(again) == after, "what was renewed under load is what the log says"
    assert place.leftovers() == []
    await again.close()


async def test_views_can_be_renewed_again_and_again(place: Place):
    views = await place.views()
    await write_history(place.log)
    await views.reached(place.log.appended, 10)
    before = await dump(views)
    for _ in range(3):
        renewal = views.renew()
        assert views.renew() is renewal, "one at a time"
        async with asyncio.timeout(30):
            while renewal.state == "running":
                await views.rows(runs_view.listing(()), limit=1, offset=0)
        assert renewal.error is None
        assert await dump(views) == before
    await views.close()
    assert place.leftovers() == []


async def test_what_another_server_has_moved_is_not_written_again(postgres_url: str):
    first, second = PostgresViews(postgres_url), PostgresViews(postgres_url)
    await asyncio.gather(*(store.open(ALL, fingerprint(ALL)) for store in (first, second)))
    await first.apply([], 7)
    values: dict[str, Any] = {"run": "run_1", "started": "late"}
    with pytest.raises(Overtaken) as overtaken:
        await second.apply([Write(runs_view.START, values)], 5)
    assert overtaken.value.position == 7
    await second.apply([], 9)
    with pytest.raises(Overtaken):
        await first.apply([], 8)
    await first.close()
    await second.close()


async def test_three_servers_keep_the_same_views(postgres_url: str, tmp_path: Path):
    async with AsyncExitStack() as stack:
        key = installation_key(tmp_path / "key")
        logs = [await open_log(tmp_path, postgres_url, key, stack) for _ in range(3)]
        servers = [Views(PostgresViews(postgres_url), log) for log in logs]
        await asyncio.gather(*(views.open() for views in servers))
        await write_history(logs[0])
        for number in range(60):
            run = f"run_y{number}"
            await logs[number % 3].append(*run_of(run, RunFailed(run_id=run, reason="lost")), author=AUTHOR)
            if number == 30:
                await servers.pop(0).close()  # the others go on without it
        last = max(log.appended for log in logs)
        await asyncio.gather(*(views.reached(last, 20) for views in servers))
        kept, seen = [await dump(views) for views in servers]
        assert kept == seen
        await servers.pop().close()
        await servers[0].rebuild()
        assert await dump(servers[0]) == kept, "what they wrote in turns is what the log says"
        await servers[0].close()
