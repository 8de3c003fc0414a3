"""The library's own test cases for recorders, run on our recorder classes."""

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


@pytest.fixture(autouse=True)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if request.cls is not None:
        request.cls.folder = tmp_path


class TestSqliteRecorder(ApplicationRecorderTestCase[SqliteRecorder]):
    folder: Path

    def setUp(self) -> None:
        super().setUp()
        self.recorders: list[SqliteRecorder] = []

    def tearDown(self) -> None:
        for recorder in self.recorders:
            recorder.close()

    def new_originator_id(self) -> UUID | str:
        return f"run_{super().new_originator_id()}"

    def create_recorder(self) -> SqliteRecorder:
        self.recorders.append(open_sqlite(self.folder / "log.db"))
        return self.recorders[-1]

    def test_insert_subscribe(self) -> None:
        with pytest.raises(NotImplementedError):
            self.create_recorder().subscribe()


class TestSqliteRecorderDoesNotInterleave(NonInterleavingNotificationIDsBaseCase):
    folder: Path
    insert_num = 100

    def new_originator_id(self) -> UUID | str:
        return f"run_{super().new_originator_id()}"

    def tearDown(self) -> None:
        self.recorder.close()

    def create_recorder(self) -> ApplicationRecorder:
        self.recorder = open_sqlite(self.folder / "log.db")
        return self.recorder


class _Postgres:
    url: str

    @pytest.fixture(autouse=True)
    def database(self, request: pytest.FixtureRequest, postgres_url: str) -> None:
        request.cls.url = postgres_url


class TestPostgresRecorder(_Postgres, ApplicationRecorderTestCase[PostgresRecorder]):
    def setUp(self) -> None:
        super().setUp()
        self.recorders: list[PostgresRecorder] = []

    def tearDown(self) -> None:
        for recorder in self.recorders:
            recorder.close()

    def new_originator_id(self) -> UUID | str:
        return f"run_{super().new_originator_id()}"

    def create_recorder(self) -> PostgresRecorder:
        self.recorders.append(open_postgres(self.url))
        return self.recorders[-1]

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPostgresRecorderDoesNotInterleave(_Postgres, NonInterleavingNotificationIDsBaseCase):
    insert_num = 100

    def new_originator_id(self) -> UUID | str:
        return f"run_{super().new_originator_id()}"

    def tearDown(self) -> None:
        self.recorder.close()

    def create_recorder(self) -> ApplicationRecorder:
        self.recorder = open_postgres(self.url)
        return self.recorder


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
