"""How deep JSON is nested. What is too deep for one stack is refused at the door, since others are shorter."""

from typing import Any

import msgspec

DEEPEST = 128


def too_deep(data: bytes, most: int = DEEPEST) -> bool:
    """Whether valid JSON is nested deeper than `most` lists and objects."""
    if data.count(b"[") + data.count(b"{") <= most:
        return False
    try:
        waiting: list[tuple[Any, int]] = [(msgspec.json.decode(data), 1)]
    except RecursionError:
        return True
    while waiting:
        value, depth = waiting.pop()
        if depth > most:
            return True
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(child, depth + 1) for child in children if isinstance(child, dict | list)]
    return False
