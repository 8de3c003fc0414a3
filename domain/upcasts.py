"""Yesterday's shapes → today's. A stored event is never edited; what has changed since is put right when it is read.

An upcast takes the stored fields (a dict, its own to change) and returns the tag and fields of today. One that was
added stays for ever, and a golden log in tests/golden proves it.
"""

from collections.abc import Callable
from typing import Any

Fields = dict[str, Any]

UPCASTS: dict[str, Callable[[Fields], tuple[str, Fields]]] = {}
