"""The log over each database that it can lie in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from crewship.eventlog import EventLog, open_log
from crewship.secrets import installation_key

OpenLog = Callable[[], Awaitable[EventLog]]


@pytest.fixture(params=["sqlite", "postgres"])
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenLog]:
    """Opens the same log again and again, as one process after the other would (on PostgreSQL also at once)."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    installation = installation_key(tmp_path / "installation.key")
    async with AsyncExitStack() as stack:

        async def open_again() -> EventLog:
            return await open_log(tmp_path, url, installation, stack)

        yield open_again


@pytest.fixture
async def log(reopen: OpenLog) -> EventLog:
    """An empty log."""
    return await reopen()
