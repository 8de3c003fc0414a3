"""Durable appends a second, against raw sqlite3 on the same disk."""

import asyncio
import sqlite3
import time
from contextlib import AsyncExitStack
from pathlib import Path

from crewship.eventlog import Author, Change, EventLog, open_log
from crewship.secrets import installation_key
from domain.output import LogWritten
from tests.bench.figures import tell

AUTHOR = Author(by="key:bench")
LINE = LogWritten(level="info", message="a line of some sixty characters, as programs like to print them")


def raw(path: Path, batch: int, seconds: float) -> float:
    """Events a second in transactions of `batch`, with fsync: the best that this disk and sqlite3 do."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE e (rowid INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, version INTEGER NOT NULL, "
        "topic TEXT, state BLOB, UNIQUE (id, version))"
    )
    state = b"x" * 260
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        rows = [(f"s{number}", count // batch, "log.written", state) for number in range(batch)]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO e (id, version, topic, state) VALUES (?,?,?,?)", rows)
        connection.execute("COMMIT")
        count += batch
    rate = count / (time.perf_counter() - began)
    connection.close()
    return rate


async def ours(log: EventLog, appenders: int, seconds: float, tag: str) -> float:
    """Events a second of so many appenders, each waiting for its own before it appends the next."""
    until = time.perf_counter() + seconds
    counts = [0] * appenders

    async def appender(number: int) -> None:
        while time.perf_counter() < until:
            await log.append(Change(f"{tag}{number}:output", counts[number], [LINE]), author=AUTHOR)
            counts[number] += 1

    began = time.perf_counter()
    await asyncio.gather(*(appender(number) for number in range(appenders)))
    return sum(counts) / (time.perf_counter() - began)


async def measure(folder: Path, seconds: float) -> None:
    """Both sizes, ours and raw, one after the other."""
    async with AsyncExitStack() as stack:
        log = await open_log(folder, None, installation_key(folder / "installation.key"), stack)
        for appenders in (1, 50):
            best = raw(folder / f"raw{appenders}.db", appenders, seconds)
            rate = await ours(log, appenders, seconds, f"run_{appenders}_")
            tell(
                f"appends/s, fsync, {appenders} appender{'s' if appenders > 1 else ''}",
                f"{rate:,.0f}",
                f"raw sqlite3, batches of {appenders}: {best:,.0f}",
                rate / best,
            )
