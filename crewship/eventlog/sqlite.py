"""The log in one SQLite file.

Differs from the library's recorder where it was found wanting: the position is an explicit AUTOINCREMENT key (an
implicit rowid is reused after a delete and free to move in a VACUUM), a second index serves reads by stream and
position, and appends are judged in memory, since one thread of one process is the only writer there is.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from eventsourcing.persistence import Notification, StoredEvent
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
)

from crewship.eventlog.recorder import Proposal, StreamMoved, batches, judge, share_out

REMEMBERED_HEADS = 100_000
ROWS_AT_ONCE = 500


class DurableConnectionPool(SQLiteConnectionPool):
    """Connections whose commits are on disk when they return."""

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        connection.cursor().execute("PRAGMA synchronous=FULL")
        return connection


class DurableDatastore(SQLiteDatastore):
    """One SQLite file, written durably."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), originator_id_type="text", lock_timeout=10)
        self.pool.close()
        self.pool = DurableConnectionPool(db_name=str(path), lock_timeout=10)


class SqliteRecorder(SQLiteApplicationRecorder):
    """The recorder of the log in an SQLite file. One `write` at a time; reads from any thread."""

    def __init__(self, datastore: SQLiteDatastore, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name)
        self._heads: OrderedDict[str, int] = OrderedDict()
        table = self.events_table_name
        self.insert_events_statement = (
            f"INSERT INTO {table} (originator_id, originator_version, topic, state) VALUES (?,?,?,?)"  # noqa: S608
        )
        self._select_head = f"SELECT MAX(originator_version) FROM {table} WHERE originator_id=?"  # noqa: S608
        self._select_stream = (
            f"SELECT rowid AS position, * FROM {table} INDEXED BY {table}_by_stream "  # noqa: S608
            "WHERE originator_id=? AND rowid>? ORDER BY rowid LIMIT ?"
        )

    def construct_create_table_statements(self) -> list[str]:
        table = self.events_table_name
        return [
            f"CREATE TABLE IF NOT EXISTS {table} ("
            "rowid INTEGER PRIMARY KEY AUTOINCREMENT, "
            "originator_id TEXT NOT NULL, "
            "originator_version INTEGER NOT NULL, "
            "topic TEXT NOT NULL, "
            "state BLOB NOT NULL, "
            "UNIQUE (originator_id, originator_version))",
            f"CREATE INDEX IF NOT EXISTS {table}_by_stream ON {table} (originator_id)",
        ]

    def write(self, proposals: Sequence[Proposal]) -> list[list[int] | StreamMoved]:
        try:
            with self.datastore.transaction(commit=True) as cursor:
                verdicts = judge(proposals, heads := self._heads_of(cursor, proposals))
                positions = self._insert(
                    cursor,
                    [
                        (event.originator_id, event.originator_version, event.topic, event.state)
                        for proposal, moved in zip(proposals, verdicts, strict=True)
                        if moved is None
                        for event in proposal.events
                    ],
                )
        except BaseException:
            self._heads.clear()
            raise
        self._remember(heads)
        return share_out(proposals, verdicts, positions)

    def _heads_of(self, cursor: SQLiteCursor, proposals: Sequence[Proposal]) -> dict[str, int]:
        heads: dict[str, int] = {}
        for stream in {stream for proposal in proposals for stream, _ in proposal.expected}:
            known = self._heads.get(stream)
            if known is None:
                cursor.execute(self._select_head, (stream,))
                known = cursor.fetchone()[0] or 0
            heads[stream] = known
        return heads

    def _insert(self, cursor: SQLiteCursor, rows: list[tuple[Any, ...]]) -> Sequence[int]:
        if not rows:
            return ()
        cursor.executemany(self.insert_events_statement, rows)
        cursor.execute("SELECT last_insert_rowid()")
        last = int(cursor.fetchone()[0])
        # Within one transaction AUTOINCREMENT counts up without a gap.
        return range(last - len(rows) + 1, last + 1)

    def _remember(self, heads: dict[str, int]) -> None:
        for stream, head in heads.items():
            self._heads[stream] = head
            self._heads.move_to_end(stream)
        while len(self._heads) > REMEMBERED_HEADS:
            self._heads.popitem(last=False)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        self._heads.clear()
        return super().insert_events(stored_events, **kwargs)

    def select_streams(self, streams: Sequence[str], after: int, limit: int) -> list[Notification]:
        rows: list[Any] = []
        with self.datastore.transaction(commit=False) as cursor:
            for stream in streams:
                cursor.execute(self._select_stream, (stream, after, limit))
                rows += cursor.fetchall()
        rows.sort(key=lambda row: row["position"])
        return [
            Notification(
                id=row["position"],
                originator_id=row["originator_id"],
                originator_version=row["originator_version"],
                topic=row["topic"],
                state=row["state"],
            )
            for row in rows[:limit]
        ]

    def fill(self, rows: Iterable[tuple[int, str, int, str, bytes]]) -> None:
        """Fill an empty log with rows at their positions, in one transaction."""
        insert = f"INSERT INTO {self.events_table_name} VALUES (?,?,?,?,?)"  # noqa: S608 a name of ours
        with self.datastore.transaction(commit=True) as cursor:
            for batch in batches(rows, ROWS_AT_ONCE):
                cursor.executemany(insert, batch)

    def close(self) -> None:
        self.datastore.close()


def open_sqlite(path: Path, *, make: bool = True) -> SqliteRecorder:
    """The log in this file; with `make`, made if it is not there."""
    recorder = SqliteRecorder(DurableDatastore(path))
    if make:
        recorder.create_table()
    return recorder
