"""Looks at the rows of tables whose columns somebody wants to change, and says whether they fit the new ones.

From the request on, every row that is written fits both the old columns and the new, so a look at those that were there
before it is enough. A look that was cut off begins again with the next server.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from crewship.commands import tables as commands
from crewship.eventlog import Author, EventLog
from crewship.eventlog.following import follow
from crewship.views import Views
from domain import row as row_rules
from domain.column import Column
from domain.errors import NotFound, Unavailable
from domain.event import Recorded
from domain.table import ChangeRequested, Misfit
from projections import rows as rows_view
from projections import tables as view

CATCH_UP_SECONDS = 60.0
RETRY_SECONDS = 1.0
ROWS_AT_ONCE = 500
MOST_MISFITS = 100
MOST_AT_ONCE = 2

logger = structlog.get_logger(__name__)


class ColumnChanges:
    """Follows the log for changes of columns that were asked for, and settles each."""

    def __init__(self, log: EventLog, views: Views, server_id: str) -> None:
        self._log = log
        self._views = views
        self._author = Author(by=f"server:{server_id}")
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take up what was left unsettled, then follow the log."""
        after = self._log.head
        await self._views.reached(after, CATCH_UP_SECONDS)
        for row in await self._views.rows(view.CHANGING):
            self._begin(row["id"])
        self._task = asyncio.create_task(follow(self._log, after, self._notice), name="column changes")

    async def close(self) -> None:
        """Stop. Looks under way are given up; the next life begins them again."""
        tasks = [task for task in (self._task, *self._looks.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def healthy(self) -> bool:
        """Whether changes are being noticed."""
        return self._task is not None and not self._task.done()

    async def _notice(self, events: list[Recorded]) -> None:
        for recorded in events:
            if isinstance(recorded.event, ChangeRequested):
                self._begin(recorded.event.table_id)

    def _begin(self, table_id: str) -> None:
        if (former := self._looks.get(table_id)) is not None and not former.done():
            former.cancel()  # it settled that change already, or another server did
        self._looks[table_id] = task = asyncio.create_task(self._see_through(table_id), name=f"columns {table_id}")
        task.add_done_callback(lambda done: self._drop(table_id, done))

    def _drop(self, table_id: str, done: "asyncio.Task[None]") -> None:
        if self._looks.get(table_id) is done:
            del self._looks[table_id]

    async def _see_through(self, table_id: str) -> None:
        async with self._places:
            while not self._log.closing:
                try:
                    await self._settle(table_id)
                    return
                except NotFound:
                    return
                except Unavailable as refusal:
                    logger.warning("a change of columns waits", table_id=table_id, why=refusal.message)
                except Exception:  # whatever it was, the change must not stay open for ever
                    logger.exception("a look at a table's rows stumbled; it tries again", table_id=table_id)
                await asyncio.sleep(RETRY_SECONDS)

    async def _settle(self, table_id: str) -> None:
        table, _ = await commands.find(self._log, table_id)
        if table.pending is not None:
            await self._views.reached(self._log.head, CATCH_UP_SECONDS)
            misfits = await self._misfits(table_id, table.pending)
            author = msgspec.structs.replace(self._author, cause=table_id)
            await commands.settle(self._log, table_id, table.pending, misfits, author)

    async def _misfits(self, table_id: str, columns: Sequence[Column]) -> list[Misfit]:
        found: list[Misfit] = []
        after = 0
        while len(found) < MOST_MISFITS:
            rows = await self._views.rows(rows_view.BEHIND, table_id=table_id, after=after, limit=ROWS_AT_ONCE)
            if not rows:
                break
            for row in rows:
                found += row_rules.misfits(columns, row["id"], msgspec.json.decode(row["values"]))
            after = rows[-1]["position"]
        return found[:MOST_MISFITS]
