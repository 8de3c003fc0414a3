"""A table's columns: of what type they are, and what fits in them."""

import math
import re
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

import msgspec

from domain.errors import BadRequest

ColumnType = Literal["text", "number", "boolean", "date", "json"]
TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
MOST_COLUMNS = 100
LONGEST_NAME = 63
EXACT_INTEGERS = 2**53
"""Up to here a number is the same in every language and database."""
WIDER: dict[ColumnType, tuple[ColumnType, ...]] = {"date": ("text", "json"), "text": ("json",)}
"""What every value of a type fits as well; a number or a boolean fits `json` alone."""
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\[\]",]')
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}.*")


class WantedColumn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column as somebody asks for it."""

    name: str
    type: ColumnType
    required: bool = False


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column of a table. Its id is never given to another one, so that values of a column that is gone stay gone."""

    id: str
    name: str
    type: ColumnType
    required: bool = False


def check_names(columns: list[WantedColumn]) -> None:
    """Raises BadRequest unless there are one to a hundred columns, each with a name of its own that can be used."""
    if not 1 <= len(columns) <= MOST_COLUMNS:
        raise BadRequest(f"columns: give 1 to {MOST_COLUMNS}")
    seen = set()
    for number, column in enumerate(columns):
        where = f"columns[{number}].name"
        if not column.name or len(column.name) > LONGEST_NAME or column.name != column.name.strip():
            raise BadRequest(f"{where}: 1 to {LONGEST_NAME} characters, no blanks around them")
        if _FORBIDDEN.search(column.name) or column.name[0] in "_-" or column.name == "id":
            raise BadRequest(f'{where}: not "id", no "_" or "-" at the beginning, no [ ] , " or control characters')
        if column.name in seen:
            raise BadRequest(f"{where}: there are two columns named {column.name}")
        seen.add(column.name)


def fits_wider(old: ColumnType, new: ColumnType) -> bool:
    """Whether whatever fits the old type fits the new one too."""
    return old == new or new == "json" or new in WIDER.get(old, ())


def fit(kind: ColumnType, value: Any) -> Any:
    """The value as it is stored; raises ValueError with what is wrong. None fits every type: no value."""
    if value is None:
        return None
    match kind:
        case "text" if isinstance(value, str):
            return _storable(value)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return _number(value)
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            return _date(value)
        case "json":
            return _storable(value)
    raise ValueError(f"expected {_EXPECTED[kind]}, got {_named(value)}")


_EXPECTED = {"text": "text", "number": "a number", "boolean": "true or false", "date": "a date"}


def _named(value: Any) -> str:
    names: tuple[tuple[Any, str], ...] = (
        (bool, "a boolean"),
        (int | float, "a number"),
        (str, "text"),
        (dict, "an object"),
        (list, "a list"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)


def _number(value: int | float) -> int | float:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("expected a finite number")
    if isinstance(value, int) and abs(value) > EXACT_INTEGERS:
        raise ValueError("whole numbers beyond 2^53 are not exact everywhere; keep this one as text")
    return value


def _date(value: str) -> str:
    """A day as it is; a moment in UTC with milliseconds, so that text compares as time does."""
    try:
        if _DATE.fullmatch(value):
            return date.fromisoformat(value).isoformat()
        if _TIME.fullmatch(value):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError("expected a time zone, for example 2030-01-31T12:00:00Z")
            return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        pass
    except ValueError as error:
        if str(error).startswith("expected"):
            raise
    raise ValueError("expected a date, like 2030-01-31 or 2030-01-31T12:00:00Z")


def _storable(value: Any) -> Any:
    """The value; text with a NUL is refused, since not every database can hold it."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str) and "\0" in part:
            raise ValueError("text must not hold a NUL character")
    return value
