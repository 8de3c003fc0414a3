"""Statements of the projections as one database's text, compiled once each."""

from collections import OrderedDict
from typing import Any

from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable
from sqlalchemy.sql.base import Executable

from projections.projection import Projection

MOST_TEXTS = 1_000


class Compiled:
    """The texts for one dialect; of the statements that users put together, those that were last asked for."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._texts: OrderedDict[Executable, tuple[str, dict[str, Any]]] = OrderedDict()

    def text(self, statement: Executable) -> tuple[str, dict[str, Any]]:
        """The statement's text, and the values that it brings itself."""
        known = self._texts.get(statement)
        if known is None:
            compiled = statement.compile(dialect=self._dialect)  # type: ignore[attr-defined]  # every Core statement has it
            known = self._texts[statement] = (str(compiled), dict(compiled.params))
            if len(self._texts) > MOST_TEXTS:
                self._texts.popitem(last=False)
        self._texts.move_to_end(statement)
        return known

    def create(self, projections: tuple[Projection, ...]) -> list[str]:
        """The statements that make all tables and indexes."""
        tables = [table for projection in projections for table in projection.tables]
        made = [str(CreateTable(table, if_not_exists=True).compile(dialect=self._dialect)) for table in tables]
        indexes = sorted((index for table in tables for index in table.indexes), key=lambda index: str(index.name))
        made += [str(CreateIndex(index, if_not_exists=True).compile(dialect=self._dialect)) for index in indexes]
        return made

    def drop(self, projections: tuple[Projection, ...]) -> list[str]:
        """The statements that drop all tables."""
        tables = [table for projection in projections for table in projection.tables]
        return [str(DropTable(table, if_exists=True).compile(dialect=self._dialect)) for table in tables]
