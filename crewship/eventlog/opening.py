"""Opening the log that an installation has."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import psycopg
from eventsourcing.persistence import PersistenceError

from crewship.eventlog.browsing import position_at
from crewship.eventlog.log import EventLog, root_of
from crewship.eventlog.past import PastRecorder
from crewship.eventlog.postgres import CHANNEL, Doorbell, PostgresKeyStore, open_postgres
from crewship.eventlog.recorder import LogRecorder
from crewship.eventlog.sqlite import open_sqlite
from crewship.secrets import KeyRing, KeyStore, SqliteKeyStore
from domain.errors import Unavailable


async def open_log(data: Path, url: str | None, installation: bytes, stack: AsyncExitStack) -> EventLog:
    """The log in a PostgreSQL database, or without a URL the one in the data folder; open until the stack unwinds.

    Raises Unavailable with a message for the operator.
    """
    try:
        if url is None:
            log = await _in_folder(data, installation)
        else:
            log = await _in_database(url, installation)
        await log.open()
    except Unavailable as fault:
        raise Unavailable(f"The log cannot be opened: {fault.message}") from fault
    except sqlite3.DatabaseError as fault:
        if getattr(fault, "sqlite_errorcode", None) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Unavailable(f"The log cannot be opened: {fault}") from fault
        raise Unavailable(
            f"{data / 'log.db'} cannot be read: {fault}. Nothing was changed; restore log.db, keys.db, "
            "installation.key and blobs from a backup"
        ) from fault
    except (PersistenceError, sqlite3.Error, psycopg.Error) as fault:
        raise Unavailable(f"The log cannot be opened: {str(fault).strip()}") from fault
    stack.push_async_callback(log.close)
    if url is not None:
        bell = Doorbell(url, CHANNEL, _ringing(log))
        stack.push_async_callback(asyncio.to_thread, bell.close)
    return log


async def _in_folder(data: Path, installation: bytes) -> EventLog:
    keys = await asyncio.to_thread(SqliteKeyStore, data / "keys.db")
    recorder = await asyncio.to_thread(open_sqlite, data / "log.db")
    return EventLog(recorder, KeyRing(keys, installation), shared=False)


async def _in_database(url: str, installation: bytes) -> EventLog:
    keys = await asyncio.to_thread(PostgresKeyStore, url)
    recorder = await asyncio.to_thread(open_postgres, url)
    return EventLog(recorder, KeyRing(keys, installation), shared=True)


async def open_past(data: Path, url: str | None, installation: bytes, until: int, stack: AsyncExitStack) -> EventLog:
    """The log as it stood at that position; the folder or the database may be in use. Raises Unavailable."""
    try:
        with stored_log(data, url) as recorder:
            at = position_at(recorder, until)
        recorder = open_sqlite(data / "log.db", make=False) if url is None else open_postgres(url, make=False)
        keys = key_store(data, url)
        log = EventLog(PastRecorder(recorder, at), KeyRing(keys, installation), shared=False, until=at)
        stack.push_async_callback(log.close)
        await log.open()
    except (PersistenceError, sqlite3.Error, psycopg.Error) as fault:
        raise Unavailable(f"The log cannot be opened: {root_of(fault)}") from fault
    return log


@contextmanager
def stored_log(data: Path, url: str | None, *, make: bool = False) -> Iterator[LogRecorder]:
    """The rows of a log, to be looked at as they lie; also while a server uses it. Raises Unavailable.

    Nothing is made where there is no log, unless with `make`.
    """
    try:
        if url is None and not make and not (data / "log.db").exists():
            raise Unavailable(f"There is no log.db in {data}: name a server's data folder with --data")
        recorder = open_sqlite(data / "log.db", make=make) if url is None else open_postgres(url, make=make)
        try:
            yield recorder
        finally:
            recorder.close()
    except (PersistenceError, sqlite3.Error, psycopg.Error) as fault:
        raise Unavailable(f"The log cannot be read: {root_of(fault)}") from fault


def key_store(data: Path, url: str | None) -> KeyStore:
    """Where the sealed data keys of an installation lie, made if it is not there."""
    return SqliteKeyStore(data / "keys.db") if url is None else PostgresKeyStore(url)


def fill_log(data: Path, url: str | None, rows: Iterable[tuple[int, str, int, str, bytes]]) -> None:
    """Fill an empty log with stored rows: position, stream, version, tag, state. Raises Unavailable."""
    try:
        recorder = open_sqlite(data / "log.db") if url is None else open_postgres(url)
        try:
            recorder.fill(rows)
        finally:
            recorder.close()
    except (PersistenceError, sqlite3.Error, psycopg.Error) as fault:
        raise Unavailable(f"The log cannot be written: {root_of(fault)}") from fault


def _ringing(log: EventLog) -> Callable[[], None]:
    """Rings the log's bell from another thread."""
    loop = asyncio.get_running_loop()

    def ring() -> None:
        loop.call_soon_threadsafe(log.ring)

    return ring
