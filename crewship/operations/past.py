"""A server on the state as it was: views made from the log up to a position, in a folder of their own; nothing runs."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec

from crewship import ids
from crewship.addresses import Reach
from crewship.api.context import Service
from crewship.app import address_of, begin, listen, told_to_stop
from crewship.blobs import BlobStore
from crewship.commands.keys import Keys
from crewship.config import Settings
from crewship.eventlog import EventLog, open_past, position_before, stored_log
from crewship.secrets import installation_key
from crewship.views import Views
from crewship.views.sqlite import SqliteViews
from domain.errors import BadRequest, Forbidden, Unavailable

KEY_CHARACTERS = 40
SHORTEST = timedelta(milliseconds=1)


class Opened(NamedTuple):
    """A server that shows the past."""

    url: str
    position: int
    key: str


def serve_past(settings: Settings, until: int | None, at: datetime | None) -> None:
    """Serve the state as of a position, or of a moment, until told to stop. Raises BadRequest, Unavailable."""
    begin()
    asyncio.run(_serve(settings, position(settings, until, at)))


def position(settings: Settings, until: int | None, at: datetime | None) -> int:
    """The position that is meant: that one, or the last that was recorded by then."""
    with stored_log(settings.data, settings.postgres) as recorder:
        newest = recorder.max_notification_id() or 0
        if at is not None:
            return position_before(recorder, at + SHORTEST)
    if until is None or not 0 <= until <= newest:
        raise BadRequest(f"The log goes from evt_000 to evt_{newest:03d}: name a position in between")
    return until


async def _serve(settings: Settings, until: int) -> None:
    stop = told_to_stop()
    async with past(settings, until) as opened:
        lines = [
            f"Crewship shows the past on {opened.url}",
            f"as of     evt_{opened.position:03d}; it can be looked at, not changed",
            f"key       {opened.key}",
            f"          CREWSHIP_URL={opened.url} CREWSHIP_API_KEY={opened.key} crewship runs list",
        ]
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
        await stop.wait()


@asynccontextmanager
async def past(settings: Settings, until: int) -> AsyncIterator[Opened]:
    """A server that answers as one did when the log ended there. The folder may be in use, and is left as it is."""
    key_file = settings.data / "installation.key"
    if not key_file.exists():
        raise Unavailable(f"There is no installation.key in {settings.data}, without which the log cannot be read")
    installation = installation_key(key_file)
    settings = msgspec.structs.replace(
        settings, admin_key=settings.admin_key or f"past_{ids.random_text(KEY_CHARACTERS)}"
    )
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="crewship-past-")))
        log = await open_past(settings.data, settings.postgres, installation, until, stack)
        views = Views(SqliteViews(folder / "views.db"), log)
        await views.open()
        stack.push_async_callback(views.close)
        service = _service(settings, log, views, Keys(log, settings.admin_key, installation))
        _, port = await listen(settings, service, stack)
        try:
            yield Opened(address_of(settings.host, port), log.head, settings.admin_key or "")
        finally:
            service.closing = True


def _service(settings: Settings, log: EventLog, views: Views, keys: Keys) -> Service:
    return Service(
        settings=settings,
        log=log,
        views=views,
        blobs=BlobStore(settings.data / "blobs"),
        keys=keys,
        check_snapshot=_nothing,
        reach=Reach(settings.webhook_allow),
        seal=_no_seal,
        unhealthy=lambda: None,
    )


def _nothing(_: Path) -> None:
    raise Forbidden("Nothing is uploaded to the past")


async def _no_seal() -> None:
    raise Forbidden("The past is sealed as it is")
