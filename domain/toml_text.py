"""TOML that others wrote, parsed within bounds.

`tomllib` keeps every beginning of a dotted key, so a key of 100,000 parts, which is 200 kB of text, costs it gigabytes.
"""

import re
import tomllib
from typing import Any

MOST_PARTS = 64
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.){0,100}+"|'[^'\n]{0,100}+')"""  # longer ones cost little: they are fewer
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_PART}[ \t]*+\.[ \t]*+){{{MOST_PARTS}}}")


class TooLarge(Exception):
    """Well-formed perhaps, but a key or a value is beyond what anybody means: thousands of digits, parts or levels."""


def loads(text: str) -> dict[str, Any]:
    """What the text says. Raises tomllib.TOMLDecodeError, or TooLarge."""
    if _LONG_KEY.search(text):
        raise TooLarge
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except (ValueError, RecursionError):
        raise TooLarge from None
