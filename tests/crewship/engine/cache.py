"""Environments that are built once and used by many tests and test runs, in the repository's `.data/test-cache/`."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from crewship.engine.environments import LocalBuilder

_REPOSITORY = Path(__file__).parents[3]
_CACHE = _REPOSITORY / ".data" / "test-cache"


def folder() -> Path:
    """The cache's folder, named by all that decides what is in it: the builder's own code, the Python, the user."""
    code = hashlib.sha256()
    for name in ("environments", "builds", "dependencies", "folders", "pythons", "snapshots"):
        code.update((_REPOSITORY / "crewship" / "engine" / f"{name}.py").read_bytes())
    code.update(f"{sys.version} {sys.base_prefix} {os.geteuid()}".encode())
    return _CACHE / code.hexdigest()[:16]


def shared_builder() -> LocalBuilder:
    """A builder over the cache. What an older builder left there is removed."""
    current = folder()
    current.mkdir(parents=True, exist_ok=True)
    for old in _CACHE.iterdir():
        if old != current:
            shutil.rmtree(old, ignore_errors=True)
    return LocalBuilder(current)
