"""Views in one SQLite file, written by one connection and read by another."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import structlog
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.base import Executable

from crewship.views.compiled import Compiled
from domain.errors import Unavailable
from projections.projection import Projection, Write

T = TypeVar("T")

logger = structlog.get_logger(__name__)

SCRUB_ATTEMPTS = 20
SCRUB_PAUSE_SECONDS = 0.05
CURSOR = "CREATE TABLE IF NOT EXISTS view_cursor (fingerprint TEXT NOT NULL, position INTEGER NOT NULL)"


class Batched(aiosqlite.Connection):
    """A connection that does a whole piece of work in one hop to its thread: the hop is what costs."""

    async def work(self, task: Callable[[sqlite3.Connection], T]) -> T:
        """Run `task` on the connection's own thread."""
        result: T = await self._execute(task, self._conn)  # type: ignore[no-untyped-call]  # aiosqlite leaves it untyped
        return result


async def connect(path: Path) -> Batched:
    """A connection in autocommit mode; transactions are begun in words."""

    def connector() -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, timeout=10)

    connection = Batched(connector, iter_chunk_size=64)
    await connection
    return connection


class SqliteViews:
    """The views of one installation in an SQLite file. What the file loses, the log gives back: it is not synced."""

    def __init__(self, path: Path, *, beside: bool = False) -> None:
        """`path` is the first such file. One that was made beside it takes its place as `views-1.db` and so on."""
        self._first = path
        self._beside = beside
        self._path = path
        self._compiled = Compiled(sqlite.dialect(paramstyle="named"))

    async def open(self, projections: tuple[Projection, ...], fingerprint: str) -> int:
        """Make what is missing; everything anew if it was made by other projections. Returns the cursor."""
        self._projections = projections
        self._fingerprint = fingerprint
        if self._beside:
            self._path = self._named(".building")
            _unlink(self._path)
        else:
            *former, self._path = self._generations().values()
            for path in (*former, self._named(".building")):
                _unlink(path)
        try:
            return await self._open()
        except sqlite3.OperationalError:  # locked, or a disk at fault: nothing that starting over would mend
            await self.close()
            raise
        except sqlite3.DatabaseError as fault:
            logger.warning(
                "the views' file is damaged; the log gives them back", file=str(self._path), fault=str(fault)
            )
            await self.close()
            _unlink(self._path)
            return await self._open()

    def _named(self, addition: str) -> Path:
        return self._first.with_name(f"{self._first.stem}{addition}{self._first.suffix}")

    def _generations(self) -> dict[int, Path]:
        """The files that once were, or are, the views, by their number; the newest comes last."""
        found = {0: self._first}
        for path in self._first.parent.glob(f"{self._first.stem}-*{self._first.suffix}"):
            number = path.stem.removeprefix(f"{self._first.stem}-")
            if number.isascii() and number.isdigit():
                found[int(number)] = path
        return dict(sorted(found.items()))

    def beside(self) -> "SqliteViews":
        """A file beside this one, to take its place."""
        return SqliteViews(self._first, beside=True)

    async def settle(self) -> None:
        """Become the newest file. Closed for that moment, since SQLite knows a file by its name."""
        await self.close()
        target = self._named(f"-{max(self._generations()) + 1}")
        os.replace(self._path, target)
        self._path = target
        await self._open()

    async def remove(self) -> None:
        """Let go of the file and delete it."""
        await self.close()
        _unlink(self._path)

    async def _open(self) -> int:
        self._writing = await connect(self._path)
        self._reading = await connect(self._path)
        for connection in (self._writing, self._reading):
            await connection.execute_fetchall("PRAGMA journal_mode=WAL")
            await connection.execute_fetchall("PRAGMA synchronous=NORMAL")
        await self._writing.execute_fetchall("PRAGMA secure_delete=ON")
        self._reading.row_factory = sqlite3.Row
        await self._writing.work(lambda db: db.execute(CURSOR))
        found = await self._writing.execute_fetchall("SELECT fingerprint, position FROM view_cursor")
        for made_by, position in found:
            if made_by == self._fingerprint:
                return int(position)
        await self.reset()
        return 0

    async def close(self) -> None:
        """Let go of the file."""
        await self._writing.close()
        await self._reading.close()

    async def reset(self) -> None:
        """Empty all views and put the cursor at the beginning."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            for statement in (*self._compiled.drop(self._projections), *self._compiled.create(self._projections)):
                db.execute(statement)
            db.execute("DELETE FROM view_cursor")
            db.execute("INSERT INTO view_cursor VALUES (?, 0)", (self._fingerprint,))
            db.execute("COMMIT")

        await self._writing.work(lambda db: _whole(db, work))

    async def apply(self, writes: Sequence[Write], cursor: int) -> None:
        """Apply the writes in order and move the cursor, in one transaction."""
        batches = []
        for statement, group in groupby(writes, key=lambda write: write.statement):
            sql, own = self._compiled.text(statement)
            batches.append((sql, [{**own, **write.values} for write in group]))

        def work(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            for sql, values in batches:
                db.executemany(sql, values)
            db.execute("UPDATE view_cursor SET position = ?", (cursor,))
            db.execute("COMMIT")

        await self._writing.work(lambda db: _whole(db, work))

    async def scrub(self) -> None:
        """Leave nothing on the disk of what was overwritten. Raises Unavailable if somebody reads all the time."""
        for _ in range(SCRUB_ATTEMPTS):
            ((busy, *_),) = await self._writing.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            if not busy:
                return
            await asyncio.sleep(SCRUB_PAUSE_SECONDS)
        raise Unavailable("The views' file is being read; what was erased is still in its write-ahead log")

    async def rows(self, statement: Executable, values: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of a query."""
        sql, own = self._compiled.text(statement)
        return [dict(row) for row in await self._reading.execute_fetchall(sql, {**own, **values})]


def _unlink(path: Path) -> None:
    """Delete a database, with what SQLite keeps beside it."""
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)


def _whole(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], None]) -> None:
    try:
        work(db)
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
