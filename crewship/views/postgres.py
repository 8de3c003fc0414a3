"""Views in a PostgreSQL database, in a schema of their own beside the log."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.sql.base import Executable

from crewship.views.compiled import Compiled
from crewship.views.runner import Overtaken
from domain.errors import Unavailable
from projections.projection import Projection, Write

CURSOR = "CREATE TABLE IF NOT EXISTS view_cursor (fingerprint text NOT NULL, position bigint NOT NULL)"
_TURN = "SELECT fingerprint, position FROM view_cursor FOR UPDATE"


class PostgresViews:
    """The views of one installation in PostgreSQL. Text with NUL, which PostgreSQL cannot hold, gets U+FFFD instead.

    The row of the cursor decides among several servers: a batch is written only where its writer left the cursor.
    """

    def __init__(self, url: str, schema: str = "crewship_views", *, beside: bool = False) -> None:
        self._url = url
        self._home = schema
        self._beside = beside
        self._schema = f"{schema}_building" if beside else schema
        self._compiled = Compiled(dialect.dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
        self._pool = self._made_pool()
        self._building: AsyncConnection[Any] | None = None
        self._position = 0

    def _made_pool(self) -> "AsyncConnectionPool[AsyncConnection[dict[str, Any]]]":
        return AsyncConnectionPool(
            self._url,
            min_size=2,
            max_size=6,
            open=False,
            configure=self._configure,
            check=AsyncConnectionPool.check_connection,
            timeout=5,
            kwargs={"row_factory": dict_row},
        )

    async def _configure(self, connection: "AsyncConnection[dict[str, Any]]") -> None:
        await connection.set_autocommit(True)
        await connection.execute(SQL("SET search_path TO {}").format(Identifier(self._schema)))

    async def open(self, projections: tuple[Projection, ...], fingerprint: str) -> int:
        """Make what is missing; everything anew if it was made by other projections. Returns the cursor."""
        self._projections = projections
        self._fingerprint = fingerprint
        if self._beside:
            await self._begin_building()
        await self._pool.open(wait=True, timeout=30)
        async with self._pool.connection() as connection, connection.transaction():
            # Two servers that start at once would both make what is missing.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"open {self._schema}",))
            await connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(self._schema)))
            await connection.execute(CURSOR)
            found = await (await connection.execute("SELECT fingerprint, position FROM view_cursor")).fetchall()
            made = [int(row["position"]) for row in found if row["fingerprint"] == fingerprint]
            if not made:
                await self._make_anew(connection)
        self._position = made[0] if made else 0
        return self._position

    async def close(self) -> None:
        """Let go of the database."""
        await self._pool.close()
        await self._done_building()

    def beside(self) -> "PostgresViews":
        """A schema beside this one, to take its name."""
        return PostgresViews(self._url, self._home, beside=True)

    async def _begin_building(self) -> None:
        """Of several servers one builds at a time: it holds a lock for as long as its connection lives."""
        self._building = await AsyncConnection.connect(self._url, autocommit=True)
        cursor = await self._building.execute("SELECT pg_try_advisory_lock(hashtext(%s))", (self._schema,))
        if not (found := await cursor.fetchone()) or not found[0]:
            await self._done_building()
            raise Unavailable("Another server is making the views anew")
        await self._building.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(self._schema)))

    async def settle(self) -> None:
        """Take the name of the schema that was read until now; those who read by that name read here from then on."""
        await self._pool.close()
        names = {
            "home": Identifier(self._home),
            "old": Identifier(f"{self._home}_old"),
            "new": Identifier(self._schema),
        }
        async with await AsyncConnection.connect(self._url) as connection:
            await connection.execute(SQL("DROP SCHEMA IF EXISTS {old} CASCADE").format(**names))
            await connection.execute(SQL("ALTER SCHEMA {home} RENAME TO {old}").format(**names))
            await connection.execute(SQL("ALTER SCHEMA {new} RENAME TO {home}").format(**names))
        self._schema = self._home
        self._pool = self._made_pool()
        await self._pool.open(wait=True, timeout=30)
        await self._done_building()

    async def _done_building(self) -> None:
        if self._building:
            await self._building.close()
            self._building = None

    async def remove(self) -> None:
        """Let go, and drop what lies beside."""
        await self._pool.close()
        async with await AsyncConnection.connect(self._url) as connection:
            for name in (f"{self._home}_old", *((f"{self._home}_building",) if self._building else ())):
                await connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(name)))
        await self._done_building()

    async def reset(self) -> None:
        """Empty all views and put the cursor at the beginning."""
        async with self._pool.connection() as connection, connection.transaction():
            await self._make_anew(connection)
        self._position = 0

    async def _make_anew(self, connection: "AsyncConnection[dict[str, Any]]") -> None:
        for statement in (*self._compiled.drop(self._projections), *self._compiled.create(self._projections)):
            await connection.execute(statement.encode())
        await connection.execute("DELETE FROM view_cursor")
        await connection.execute("INSERT INTO view_cursor VALUES (%s, 0)", (self._fingerprint,))

    async def apply(self, writes: Sequence[Write], cursor: int) -> None:
        """Apply the writes in order and move the cursor, in one transaction; raises Overtaken if others moved it."""
        async with self._pool.connection() as connection, connection.transaction(), connection.cursor() as db:
            found = await (await db.execute(_TURN)).fetchone()
            if found is None or found["fingerprint"] != self._fingerprint:
                raise Unavailable("A server of another release has made the views anew; stop one of the two")
            if found["position"] != self._position:
                self._position = int(found["position"])
                raise Overtaken(self._position)
            for statement, group in groupby(writes, key=lambda write: write.statement):
                sql, own = self._compiled.text(statement)
                await db.executemany(sql.encode(), [_storable({**own, **write.values}) for write in group])
            await db.execute("UPDATE view_cursor SET position = %s", (cursor,))
        self._position = cursor

    async def scrub(self) -> None:
        """Nothing to do: old versions of rows are PostgreSQL's own, and its vacuum clears them away."""

    async def rows(self, statement: Executable, values: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of a query."""
        sql, own = self._compiled.text(statement)
        try:
            async with self._pool.connection() as connection:
                return await (await connection.execute(sql.encode(), _storable({**own, **values}))).fetchall()
        except (psycopg.Error, PoolTimeout) as fault:
            raise Unavailable(f"The views cannot be read: {str(fault).strip()}") from fault


def _storable(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value
        for name, value in values.items()
    }
