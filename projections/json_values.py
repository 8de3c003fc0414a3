"""A value inside a JSON column, as SQL: one small function per dialect, the same answers and the same order on both.

Text compares by its UTF-8 bytes, numbers as IEEE doubles, false is before true. A column's id is a parameter, so that
the statement of one filter serves all columns.
"""

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from domain.column import ColumnType


class TextValue(FunctionElement[Any]):
    """The text that a JSON column (first clause) holds under a key (second clause)."""

    inherit_cache = True


class NumberValue(FunctionElement[Any]):
    """The number, likewise."""

    inherit_cache = True


class BooleanValue(FunctionElement[Any]):
    """The boolean, likewise."""

    inherit_cache = True


class Contains(FunctionElement[Any]):
    """Where in a text (first clause) another one begins, counted from 1; 0 if nowhere."""

    inherit_cache = True


VALUES: dict[ColumnType, type[FunctionElement[Any]]] = {
    "text": TextValue,
    "date": TextValue,
    "json": TextValue,
    "number": NumberValue,
    "boolean": BooleanValue,
}
"""How a column of each type is read; of `json` only whether there is a value is the same everywhere."""


def _clauses(element: FunctionElement[Any], compiler: Any, **given: Any) -> list[str]:
    return [compiler.process(clause, **given) for clause in element.clauses]


def _sqlite(element: FunctionElement[Any], compiler: Any, **given: Any) -> str:
    column, key = _clauses(element, compiler, **given)
    return f"json_extract({column}, '$.' || {key})"


def _postgres(element: FunctionElement[Any], compiler: Any, **given: Any) -> str:
    column, key = _clauses(element, compiler, **given)
    return f"(CAST({column} AS jsonb) ->> CAST({key} AS text))"


@compiles(TextValue, "sqlite")
def _text_sqlite(element: TextValue, compiler: Any, **given: Any) -> str:
    return _sqlite(element, compiler, **given)


@compiles(TextValue, "postgresql")
def _text_postgres(element: TextValue, compiler: Any, **given: Any) -> str:
    return f'({_postgres(element, compiler, **given)} COLLATE "C")'


@compiles(NumberValue, "sqlite")
def _number_sqlite(element: NumberValue, compiler: Any, **given: Any) -> str:
    return f"CAST({_sqlite(element, compiler, **given)} AS REAL)"


@compiles(NumberValue, "postgresql")
def _number_postgres(element: NumberValue, compiler: Any, **given: Any) -> str:
    return f"CAST({_postgres(element, compiler, **given)} AS double precision)"


@compiles(BooleanValue, "sqlite")
def _boolean_sqlite(element: BooleanValue, compiler: Any, **given: Any) -> str:
    return _sqlite(element, compiler, **given)


@compiles(BooleanValue, "postgresql")
def _boolean_postgres(element: BooleanValue, compiler: Any, **given: Any) -> str:
    return f"CAST({_postgres(element, compiler, **given)} AS boolean)"


@compiles(Contains, "sqlite")
def _contains_sqlite(element: Contains, compiler: Any, **given: Any) -> str:
    text, part = _clauses(element, compiler, **given)
    return f"instr({text}, {part})"


@compiles(Contains, "postgresql")
def _contains_postgres(element: Contains, compiler: Any, **given: Any) -> str:
    text, part = _clauses(element, compiler, **given)
    return f"strpos({text}, CAST({part} AS text))"
