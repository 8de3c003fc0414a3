"""The values that crewship.toml takes: each check turns one into what it means, or says what would be right."""

import difflib
import re
from collections.abc import Callable
from typing import Any

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
NAME_RULE = "is not a name: use a-z, 0-9, - and _, at most 63, a letter or digit first"
_NODE = re.compile(r"[1-9][0-9]?")
_PYTHON = re.compile(r"3\.[0-9]{1,2}")
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,6})?(?:ms|s|m|h|d))+")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([KMGT]i?B)")
_BYTES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_LONGEST = 365 * 86400.0
_LARGEST = 2**50


class Wrong(Exception):
    """A value is not one that its key takes; the text goes on after the key's name."""


Check = Callable[[Any], Any]


def choice(*options: str) -> Check:
    def check(value: Any) -> str:
        if value not in options:
            listed = " or ".join(filter(None, [", ".join(f'"{o}"' for o in options[:-1]), f'"{options[-1]}"']))
            raise Wrong(f"must be {listed}, not {shown(value)}{guess(value, options)}")
        return str(value)

    return check


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 500:
        raise Wrong(f"must be a text, not {shown(value)}")
    return value


def name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise Wrong(f"{NAME_RULE}: {shown(value)}")
    return value


def python_version(value: Any) -> str:
    if not isinstance(value, str) or not _PYTHON.fullmatch(value):
        raise Wrong(f'must be a version in quotes, like "3.11", not {shown(value)}')
    return value


def node_version(value: Any) -> str:
    if not isinstance(value, str) or not _NODE.fullmatch(value):
        raise Wrong(f'must be a major version in quotes, like "22", not {shown(value)}')
    return value


def patterns(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise Wrong(f'must be a list of patterns, like ["tests", "*.csv"], not {shown(value)}')
    return tuple(value)


def whole(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Wrong(f"must be a whole number from {least} to {most}, not {shown(value)}")
        return value

    return check


def cores(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.01 <= value <= 1024:
        raise Wrong(f"must be a number of cores, like 1 or 0.5, not {shown(value)}")
    return float(value)


def duration(least: float) -> Check:
    def check(value: Any) -> float:
        if isinstance(value, str) and _DURATION.fullmatch(value):
            parts = re.findall(r"([0-9.]+)(ms|s|m|h|d)", value)
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
            if least <= seconds <= _LONGEST:
                return round(seconds, 3)
        raise Wrong(f'must be a duration, like "90s", "30m" or "1h", of at most a year, not {shown(value)}')

    return check


def size(value: Any) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    size = int(float(match[1]) * _BYTES[match[2]]) if match else 0
    if not 1 <= size <= _LARGEST:
        raise Wrong(f'must be a size, like "512MiB" or "1GiB", not {shown(value)}')
    return size


def shown(value: Any) -> str:
    """The value as it stands in TOML, cut short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + (value if len(value) <= 60 else value[:60] + "…").replace("\n", "\\n") + '"'
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    try:
        return str(value)[:60]
    except ValueError:  # an integer of thousands of digits, written in hexadecimal
        return "a huge number"


def guess(word: Any, options: tuple[str, ...] | list[str]) -> str:
    """`(did you mean …?)`, where one of the options is close."""
    close = difflib.get_close_matches(word, options, 1) if isinstance(word, str) and len(word) < 80 else []
    return f' (did you mean "{close[0]}"?)' if close else ""
