"""The log's rows as somebody gets at them who goes past the log."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

Row = tuple[int, str, int, str, bytes]


class Rows:
    """The rows of a log in a file or, where there is a URL, in PostgreSQL."""

    def __init__(self, path: Path, url: str | None = None) -> None:
        self._path = path
        self.url = url
        self._position = "notification_id" if url else "rowid"

    def all(self) -> list[Row]:
        names = f"{self._position}, originator_id, originator_version, topic, state"
        rows = self._run(f"SELECT {names} FROM stored_events ORDER BY 1")
        return [(position, stream, version, tag, bytes(state)) for position, stream, version, tag, state in rows]

    def change(self, position: int, into: Callable[[bytes], bytes]) -> None:
        ((state,),) = self._run(f"SELECT state FROM stored_events WHERE {self._position} = ?", position)
        self._run(f"UPDATE stored_events SET state = ? WHERE {self._position} = ?", into(bytes(state)), position)

    def remove(self, position: int) -> None:
        self._run(f"DELETE FROM stored_events WHERE {self._position} = ?", position)

    def insert(self, position: int, stream: str, version: int, tag: str, state: bytes) -> None:
        names = f"{self._position}, originator_id, originator_version, topic, state"
        self._run(f"INSERT INTO stored_events ({names}) VALUES (?,?,?,?,?)", position, stream, version, tag, state)

    def swap(self, one: int, other: int) -> None:
        update = f"UPDATE stored_events SET {self._position} = ? WHERE {self._position} = ?"
        for new, old in ((-1, one), (one, other), (other, -1)):
            self._run(update, new, old)

    def _run(self, sql: str, *values: Any) -> list[Any]:
        with self._connection() as connection:
            cursor = connection.execute(sql.replace("?", "%s") if self.url else sql, values)
            return list(cursor.fetchall()) if cursor.description else []

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        if self.url:
            with psycopg.connect(self.url, autocommit=True) as connection:
                yield connection
            return
        file = sqlite3.connect(self._path, isolation_level=None, timeout=10)
        try:
            yield file
        finally:
            file.close()
