"""The log in a PostgreSQL database.

The library's database functions stay off: they drop the table lock under which positions become visible in order, and
without it a tailing reader misses events. Under that lock a writer is alone, so appends are judged as on SQLite.
"""

from collections.abc import Callable, Iterable, Sequence
from threading import Event, Thread
from typing import Any

import psycopg
from eventsourcing.persistence import Notification
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Composed, Identifier

from crewship.eventlog.recorder import Proposal, StreamMoved, batches, judge, share_out

CHANNEL = "stored_events"
LOCK_TIMEOUT_SECONDS = 10
ROWS_AT_ONCE = 500
LISTEN_PAUSE_SECONDS = 1.0


class PostgresRecorder(PostgresApplicationRecorder):
    """The recorder of the log in PostgreSQL. `write` may run in several processes at once; they take turns."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        table = {"schema": Identifier(datastore.schema), "table": Identifier(events_table_name)}
        self.sql_create_statements.append(
            SQL("CREATE INDEX IF NOT EXISTS {index} ON {schema}.{table} (originator_id, notification_id)").format(
                index=Identifier(f"{events_table_name}_by_stream"), **table
            )
        )
        self._select_heads = SQL(
            "SELECT s.id, (SELECT originator_version FROM {schema}.{table} WHERE originator_id = s.id "
            "ORDER BY originator_version DESC LIMIT 1) AS head FROM unnest(%s::text[]) AS s(id)"
        ).format(**table)
        self._fill = SQL(
            "INSERT INTO {schema}.{table} (notification_id, originator_id, originator_version, topic, state) "
            "VALUES (%s, %s, %s, %s, %s)"
        ).format(**table)
        self._go_on = SQL("SELECT setval(pg_get_serial_sequence(%s, 'notification_id'), %s)")
        self._select_stream = SQL(
            "SELECT * FROM {schema}.{table} WHERE originator_id = %s AND notification_id > %s "
            "ORDER BY notification_id LIMIT %s"
        ).format(**table)

    def write(self, proposals: Sequence[Proposal]) -> list[list[int] | StreamMoved]:
        with self.datastore.get_connection() as connection, connection.transaction():
            cursor = connection.cursor()
            self._lock_table(cursor)
            verdicts = judge(proposals, self._heads_of(cursor, proposals))
            events = [
                event
                for proposal, moved in zip(proposals, verdicts, strict=True)
                if moved is None
                for event in proposal.events
            ]
            positions: list[int] = []
            if events:
                # The library's own steps: notify the channel, insert, give back the positions.
                self._insert_stored_events(cursor, events)
                positions = [row["notification_id"] for row in cursor.fetchall()]
        return share_out(proposals, verdicts, positions)

    def _heads_of(self, cursor: psycopg.Cursor[Any], proposals: Sequence[Proposal]) -> dict[str, int]:
        streams = sorted({stream for proposal in proposals for stream, _ in proposal.expected})
        cursor.execute(self._select_heads, (streams,), prepare=True)
        return {row["id"]: row["head"] or 0 for row in cursor.fetchall()}

    def select_streams(self, streams: Sequence[str], after: int, limit: int) -> list[Notification]:
        rows: list[Any] = []
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            for stream in streams:
                cursor.execute(self._select_stream, (stream, after, limit), prepare=True)
                rows += cursor.fetchall()
        rows.sort(key=lambda row: row["notification_id"])
        return [
            Notification(
                id=row["notification_id"],
                originator_id=row["originator_id"],
                originator_version=row["originator_version"],
                topic=row["topic"],
                state=bytes(row["state"]),
            )
            for row in rows[:limit]
        ]

    def fill(self, rows: Iterable[tuple[int, str, int, str, bytes]]) -> None:
        """Fill an empty log with rows at their positions, in one transaction."""
        with self.datastore.get_connection() as connection, connection.transaction():
            cursor = connection.cursor()
            self._lock_table(cursor)
            last = 0
            for batch in batches(rows, ROWS_AT_ONCE):
                cursor.executemany(self._fill, batch)
                last = batch[-1][0]
            cursor.execute(self._go_on, (f"{self.datastore.schema}.{self.events_table_name}", last))

    def close(self) -> None:
        self.datastore.close()


def open_postgres(url: str, schema: str = "public", *, make: bool = True) -> PostgresRecorder:
    """The log in this database; with `make`, its tables made if they are not there."""
    parts = conninfo_to_dict(url)
    datastore = PostgresDatastore(
        dbname=str(parts.get("dbname", "")),
        host=str(parts.get("host", "")),
        port=str(parts.get("port", "5432")),
        user=str(parts.get("user", "")),
        password=str(parts.get("password", "")),
        pool_size=4,
        max_overflow=2,
        lock_timeout=LOCK_TIMEOUT_SECONDS,
        originator_id_type="text",
        schema=schema,
        enable_db_functions=False,
    )
    recorder = PostgresRecorder(datastore)
    if make:
        recorder.create_table()
    return recorder


class Doorbell:
    """Rings when any process has appended: one LISTEN a process, on a thread and a connection of its own.

    Rings too whenever the connection had to be made anew, since something may have been said meanwhile.
    """

    def __init__(self, url: str, channel: str, ring: Callable[[], None]) -> None:
        self._url = url
        self._listen = SQL("LISTEN {}").format(Identifier(channel))
        self._ring = ring
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="log-doorbell", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._attend()
            except psycopg.Error:
                # The log's readers look once a second without a bell; come back when the database does.
                self._stopped.wait(LISTEN_PAUSE_SECONDS)

    def _attend(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(self._listen)
            self._ring()
            while not self._stopped.is_set():
                for _ in connection.notifies(timeout=0.5, stop_after=1):
                    self._ring()

    def close(self) -> None:
        """Stop listening; waits for the thread."""
        self._stopped.set()
        self._thread.join()


class PostgresKeyStore:
    """Sealed data keys in a table of the same database."""

    _CREATE = SQL("CREATE TABLE IF NOT EXISTS {table} (subject text PRIMARY KEY, sealed bytea NOT NULL)")
    _FETCH = SQL("SELECT subject, sealed FROM {table} WHERE subject = ANY(%s)")
    _KEEP = SQL("INSERT INTO {table} VALUES (%s, %s) ON CONFLICT DO NOTHING")
    _PAGE = SQL(
        'SELECT subject, sealed FROM {table} WHERE subject COLLATE "C" > %s ORDER BY subject COLLATE "C" LIMIT %s'
    )
    _DELETE = SQL("DELETE FROM {table} WHERE subject = %s")

    def __init__(self, url: str, schema: str = "public") -> None:
        self._url = url
        self._table = Identifier(schema, "data_keys")
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(self._sql(self._CREATE))

    def _sql(self, statement: SQL) -> Composed:
        return statement.format(table=self._table)

    def _live(self) -> "psycopg.Connection[tuple[Any, ...]]":
        if self._connection.closed or self._connection.broken:
            self._connection = psycopg.connect(self._url, autocommit=True)
        return self._connection

    def fetch(self, subjects: Iterable[str]) -> dict[str, bytes]:
        rows = self._live().execute(self._sql(self._FETCH), (list(subjects),)).fetchall()
        return {subject: bytes(sealed) for subject, sealed in rows}

    def keep(self, keys: dict[str, bytes]) -> dict[str, bytes]:
        with self._live().transaction(), self._connection.cursor() as cursor:
            cursor.executemany(self._sql(self._KEEP), list(keys.items()))
        return self.fetch(keys)

    def delete(self, subject: str) -> bool:
        return self._live().execute(self._sql(self._DELETE), (subject,)).rowcount > 0

    def page(self, after: str, limit: int) -> list[tuple[str, bytes]]:
        rows = self._live().execute(self._sql(self._PAGE), (after, limit)).fetchall()
        return [(subject, bytes(sealed)) for subject, sealed in rows]

    def close(self) -> None:
        self._connection.close()
