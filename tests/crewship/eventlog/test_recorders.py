"""The library's own test cases for recorders, run on our recorder classes."""

import threading
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.persistence import ApplicationRecorder, StoredEvent
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from crewship.eventlog.postgres import PostgresRecorder, open_postgres
from crewship.eventlog.sqlite import DurableDatastore, SqliteRecorder, open_sqlite


class Closing:
    """Closes what a test opened once its threads have ended: some of the library's go on a moment after the test."""

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.recorders: list[SqliteRecorder | PostgresRecorder] = []
        self._before = set(threading.enumerate())

    def tearDown(self) -> None:
        for thread in set(threading.enumerate()) - self._before:
            # psycopg's pools keep threads of their own, which end when they are closed.
            if "pool" not in thread.name or "ThreadPoolExecutor" in thread.name:
                thread.join(30)
                assert not thread.is_alive(), thread.name
        for recorder in self.recorders:
            recorder.close()
        super().tearDown()  # type: ignore[misc]


@pytest.fixture(autouse=True)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if request.cls is not None:
        request.cls.folder = tmp_path


class TestSqliteRecorder(Closing, ApplicationRecorderTestCase[SqliteRecorder]):
    folder: Path

    def new_originator_id(self) -> UUID | str:
        return f"run_{super().new_originator_id()}"

    def create_recorder(self) -> SqliteRecorder:
        recorder = open_sqlite(self.folder / "log.db")
        self.recorders.append(recorder)
        return recorder

    def test_insert_subscribe(self) -> None:
        with pytest.raises(NotImplementedError):
            self.create_recorder().subscribe()


class TestSqliteRecorderDoesNotInterleave(Closing, NonInterleavingNotificationIDsBaseCase):
    folder: Path
    insert_num = 100

    def new_originator_id(self) -> UUID | str:
        return f"run_{super().new_originator_id()}"

    def create_recorder(self) -> ApplicationRecorder:
        recorder = open_sqlite(self.folder / "log.db")
        self.recorders.append(recorder)
        return recorder


class _Postgres:
    url: str

    @pytest.fixture(autouse=True)
    def database(self, request: pytest.FixtureRequest, postgres_url: str) -> None:
        request.cls.url = postgres_url


class TestPostgresRecorder(_Postgres, Closing, ApplicationRecorderTestCase[PostgresRecorder]):
    def new_originator_id(self) -> UUID | str:
        return f"run_{super().new_originator_id()}"

    def create_recorder(self) -> PostgresRecorder:
        recorder = open_postgres(self.url)
        self.recorders.append(recorder)
        return recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPostgresRecorderDoesNotInterleave(_Postgres, Closing, NonInterleavingNotificationIDsBaseCase):
    insert_num = 100

    def new_originator_id(self) -> UUID | str:
        return f"run_{super().new_originator_id()}"

    def create_recorder(self) -> ApplicationRecorder:
        recorder = open_postgres(self.url)
        self.recorders.append(recorder)
        return recorder


def test_a_position_is_never_used_twice(tmp_path: Path):
    recorder = open_sqlite(tmp_path / "log.db")
    recorder.insert_events([StoredEvent("a", 1, "t", b""), StoredEvent("a", 2, "t", b"")])
    with recorder.datastore.transaction(commit=True) as cursor:
        cursor.execute("DELETE FROM stored_events WHERE originator_version = 2")
    assert recorder.insert_events([StoredEvent("b", 1, "t", b"")]) == [3]
    recorder.close()


def test_reading_a_stream_by_position_uses_its_index(tmp_path: Path):
    recorder = open_sqlite(tmp_path / "log.db")
    with recorder.datastore.transaction(commit=False) as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {recorder._select_stream}", ("a", 5, 10))
        plan = " ".join(str(row["detail"]) for row in cursor.fetchall())
    assert "originator_id=? AND rowid>?" in plan
    assert "TEMP B-TREE" not in plan
    recorder.close()


def test_commits_are_on_disk_when_they_return(tmp_path: Path):
    recorder = SqliteRecorder(DurableDatastore(tmp_path / "log.db"))
    with recorder.datastore.transaction(commit=False) as cursor:
        cursor.execute("PRAGMA synchronous")
        assert cursor.fetchone()[0] == 2
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone()[0] == "wal"
    recorder.close()
