"""Finds what a project's entrypoint names: `module:attr`, `package.module:attr.attr` or `./path/file.py:attr`."""

from __future__ import annotations

import contextlib
import difflib
import gc
import importlib
import importlib.util
import os
import site
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from .ending import Problem


def extend_path(app: str, sites: list[str]) -> None:
    """Make the project importable as `python -m` in `app` would, then its `src`, then installed packages in `sites`.

    Packages in `sites` come after the standard library and before the interpreter's own packages.
    """
    for place in sites:
        known = list(sys.path)
        site.addsitedir(place)  # reads .pth files, which editable installs need
        added = [entry for entry in sys.path if entry not in known]
        own = [at for at, entry in enumerate(known) if entry.endswith(("site-packages", "dist-packages"))]
        at = own[0] if own else len(known)
        sys.path[:] = [*known[:at], *added, *known[at:]]
    source = os.path.join(app, "src")
    sys.path[:0] = [app, source] if os.path.isdir(source) else [app]


_PATIENCE = 1_000_000  # objects more, while a framework is imported, before the collector looks for garbage


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import without a collector that walks, time and again, what stays for good; it never sees that again after."""
    usual = gc.get_threshold()
    gc.set_threshold(_PATIENCE, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.freeze()


def load(entrypoint: str, app: str) -> Any:
    """Import the module and give back what the entrypoint names in it.

    Raises Problem, or whatever the project's own code raises while it is imported.
    """
    place, colon, path = entrypoint.rpartition(":")
    if not colon or not place or not all(part.isidentifier() for part in path.split(".")):
        raise Problem(f"entrypoint {entrypoint!r} must be module:attribute or ./path/file.py:attribute")
    is_file = place.endswith(".py") or "/" in place
    module = _load_file(place, app) if is_file else _load_module(place, app)
    return _attribute(module, place, path)


def _load_module(name: str, app: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise  # it is there; something that it imports is not
        close = difflib.get_close_matches(name, _modules(app), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise Problem(f"entrypoint: there is no module {name!r} in the project{hint}") from None


def _load_file(place: str, app: str) -> ModuleType:
    """Import a file under the name by which the project's own imports know it, where it has one."""
    path = os.path.realpath(os.path.join(app, place))
    root = os.path.realpath(app)
    if not path.startswith(root + os.sep):
        raise Problem(f"entrypoint: {place!r} lies outside of the project")
    if not os.path.isfile(path):
        raise Problem(f"entrypoint: there is no file {place!r} in the project")
    source = os.path.join(root, "src")
    inside = os.path.relpath(path, source if path.startswith(source + os.sep) else root)
    parts = inside[: -len(".py")].split(os.sep)
    name = ".".join(parts)
    spec = importlib.util.find_spec(name) if all(part.isidentifier() for part in parts) else None
    if spec is not None and spec.origin and os.path.realpath(spec.origin) == path:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location("_".join(parts).replace("-", "_"), path)
    if spec is None or spec.loader is None:
        raise Problem(f"entrypoint: {place!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _attribute(module: ModuleType, place: str, path: str) -> Any:
    value: Any = module
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            names = [known for known in dir(value) if not known.startswith("_")]
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise Problem(f"entrypoint: {place!r} has no {name!r}{hint}") from None
    return value


def _modules(app: str) -> list[str]:
    found = []
    for folder in (app, os.path.join(app, "src")):
        if os.path.isdir(folder):
            found += [name[:-3] if name.endswith(".py") else name for name in os.listdir(folder)]
    return [name for name in found if name.isidentifier()]
