"""Whatever a project's graph holds, as JSON. Nothing here raises: what has no better form becomes its `repr`."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import math
import os
import uuid
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

DEPTH = 64  # containers inside containers; what is deeper is shown as text
REPR_LIMIT = 10_000  # characters of a `repr`
DIGITS = 4000  # of an integer; Python refuses to read or write much longer ones

_SEQUENCES = (list, tuple, deque)
_AS_TEXT = (decimal.Decimal, uuid.UUID, os.PathLike)
_AS_ISO = (datetime.datetime, datetime.date, datetime.time)


def jsonable(value: Any) -> Any:
    """The value in terms of dict (with str keys), list, str, int, float, bool and None. Never raises an Exception.

    Models, messages and dataclasses become objects, times ISO 8601, durations seconds, bytes base64, sets lists,
    arrays nested lists, NaN null and infinities text. A container inside itself, or deeper than `DEPTH`, is shown as
    its `repr`.
    """
    return _convert(value, ())


def dumps(value: Any) -> bytes:
    """The value as one line of JSON in UTF-8."""
    return json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _convert(value: Any, above: tuple[int, ...]) -> Any:
    try:
        if value is None or value is True or value is False:
            return value
        if len(above) >= DEPTH or id(value) in above:
            return _text(value) if isinstance(value, str) and not isinstance(value, enum.Enum) else shown(value)
        simple = _simple(value)
        return _compound(value, (*above, id(value))) if simple is NotImplemented else simple
    except Exception:  # a property or a dump method of the project's failed
        return shown(value)


def _simple(value: Any) -> Any:
    """The JSON of what holds nothing else; NotImplemented for the rest."""
    if isinstance(value, enum.Enum):
        return NotImplemented
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value) if int(value).bit_length() < DIGITS * 3 else hex(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None if math.isnan(value) else str(float(value))
    if isinstance(value, _AS_ISO):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, _AS_TEXT):
        return _text(str(value))
    if isinstance(value, (type, BaseException)):
        return shown(value)
    return NotImplemented


def _compound(value: Any, above: tuple[int, ...]) -> Any:
    if isinstance(value, enum.Enum):
        return _convert(value.value, above)
    if isinstance(value, Mapping):
        return {_key(key): _convert(item, above) for key, item in value.items()}
    if isinstance(value, _SEQUENCES):
        return [_convert(item, above) for item in value]
    if isinstance(value, AbstractSet):
        return sorted((_convert(item, above) for item in value), key=json.dumps)
    kind = type(value)
    if dataclasses.is_dataclass(value):
        return {field.name: _convert(getattr(value, field.name, None), above) for field in dataclasses.fields(value)}
    if hasattr(kind, "model_dump"):  # pydantic 2, and with it langchain's messages
        return _convert(value.model_dump(warnings=False), above)
    if hasattr(kind, "__fields__") and hasattr(kind, "dict"):  # pydantic 1
        return _convert(value.dict(), above)
    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):  # numpy, and what takes after it: arrays and scalars
        return _convert(value.tolist(), above)
    return shown(value)


def _key(key: Any) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    return _text(key if isinstance(key, str) else str(key))


def _text(value: str) -> str:
    """A plain str; a lone surrogate, which no UTF-8 can hold, becomes a question mark."""
    return str.__str__(value).encode("utf-8", "replace").decode()


def shown(value: Any) -> str:
    """The value's `repr`, cut to `REPR_LIMIT`; its type where even that fails."""
    try:
        return _text(repr(value)[:REPR_LIMIT])
    except Exception:
        return f"<{type(value).__name__}>"
