"""Several processes on one log, which PostgreSQL allows."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from crewship.eventlog import Author, Change, StreamMoved, open_log
from crewship.secrets import installation_key
from domain.output import LogWritten

AUTHOR = Author(by="server:a")


def line(text: str) -> LogWritten:
    return LogWritten(level="info", message=text)


async def test_what_one_process_appends_reaches_the_followers_of_another(tmp_path: Path, postgres_url: str):
    installation = installation_key(tmp_path / "key")
    async with AsyncExitStack() as stack:
        first = await open_log(tmp_path, postgres_url, installation, stack)
        second = await open_log(tmp_path, postgres_url, installation, stack)
        with second.follower(0) as follower:
            await first.append(Change("a", 0, [line("hi")]), author=AUTHOR)
            assert [event.event for event in await follower.next(seconds=10)] == [line("hi")]


async def test_processes_take_turns_by_version(tmp_path: Path, postgres_url: str):
    installation = installation_key(tmp_path / "key")
    async with AsyncExitStack() as stack:
        first = await open_log(tmp_path, postgres_url, installation, stack)
        second = await open_log(tmp_path, postgres_url, installation, stack)
        await first.append(Change("a", 0, [line("1")]), author=AUTHOR)
        with pytest.raises(StreamMoved):
            await second.append(Change("a", 0, [line("too late")]), author=AUTHOR)
        await second.append(Change("a", 1, [line("2")]), author=AUTHOR)
        assert (await first.end("a"))[0] == 2
