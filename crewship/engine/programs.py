"""What was built, as the local sandbox starts it: what it has to see, and which command the guard is to run.

`confined` says that there is a sandbox; without one everything is seen where it lies on the host.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from crewship.engine import folders
from crewship.engine.bubblewrap import Mount
from crewship.engine.nodes import Node
from crewship.engine.pythons import Python

MODULES = "node_modules"
COMPILED = ".crewship"  # where a run finds what was compiled for it, in its own copy of the project


class Program(Protocol):
    """A version that can be started."""

    @property
    def project(self) -> Path:
        """The project's files."""
        ...

    @property
    def leave_out(self) -> frozenset[str]:
        """Names at the project's top that a run does not get."""
        ...

    def furnish(self, app: Path, identity: int | None, *, confined: bool) -> None:
        """Put into a run's own copy of the project what was made for it. Blocks."""
        ...

    def mounts(self) -> Sequence[Mount]:
        """What a sandbox has to see of it."""
        ...

    def guard(self, *, confined: bool) -> str:
        """The interpreter of the guard."""
        ...

    def command(self, runner: str, *, confined: bool) -> list[str]:
        """What the guard starts; `runner` is the folder of the runner."""
        ...

    def environment(self, *, confined: bool) -> dict[str, str]:
        """Variables that the project's code needs to find its packages."""
        ...

    def sites(self, *, confined: bool) -> list[str]:
        """Further places to import from."""
        ...


class PythonProgram(msgspec.Struct, frozen=True, kw_only=True):
    """See Program. `site` is None where the project is no package."""

    project: Path
    venv: Path
    python: Python
    site: Path | None
    leave_out: frozenset[str] = frozenset()

    def furnish(self, app: Path, identity: int | None, *, confined: bool) -> None:
        """Nothing: all of it is seen elsewhere."""

    def mounts(self) -> Sequence[Mount]:
        """See Program."""
        mounts = [Mount(self.venv, "/venv")]
        if self.site is not None:
            mounts.append(Mount(self.site, "/site"))
        return [*mounts, *_seen(self.python.prefix)]

    def guard(self, *, confined: bool) -> str:
        """See Program."""
        return f"{self._venv(confined)}/bin/python"

    def command(self, runner: str, *, confined: bool) -> list[str]:
        """See Program."""
        return [self.guard(confined=confined), f"{runner}/run.py"]

    def environment(self, *, confined: bool) -> dict[str, str]:
        """See Program."""
        venv = self._venv(confined)
        return {
            "PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin",
            "VIRTUAL_ENV": venv,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",  # it would lie in the run's own copy, for nobody
        }

    def sites(self, *, confined: bool) -> list[str]:
        """See Program."""
        return [] if self.site is None else ["/site" if confined else str(self.site)]

    def _venv(self, confined: bool) -> str:
        return "/venv" if confined else str(self.venv)


class NodeProgram(msgspec.Struct, frozen=True, kw_only=True):
    """See Program. `python` is the guard's; `compiled` is None where the entrypoint is plain JavaScript.

    A run finds its packages through a link in its own copy of the project: packages look for others by where they lie.
    """

    project: Path
    modules: Path
    node: Node
    python: Python
    compiled: Path | None
    leave_out: frozenset[str] = frozenset({MODULES, COMPILED})

    def furnish(self, app: Path, identity: int | None, *, confined: bool) -> None:
        """See Program."""
        (app / MODULES).symlink_to(f"/{MODULES}" if confined else self.modules)
        if self.compiled is not None:
            folders.copy(self.compiled, app / COMPILED, identity)  # plain files alone: a build may have left others

    def mounts(self) -> Sequence[Mount]:
        """See Program."""
        return [Mount(self.modules, f"/{MODULES}"), *_seen(self.python.prefix), *_seen(self.node.prefix)]

    def guard(self, *, confined: bool) -> str:
        """See Program."""
        return self.python.executable

    def command(self, runner: str, *, confined: bool) -> list[str]:
        """See Program."""
        return [self.node.executable, f"{runner}/node/run.mjs"]

    def environment(self, *, confined: bool) -> dict[str, str]:
        """See Program."""
        bin_folder = f"{'' if confined else self.modules.parent}/{MODULES}/.bin"
        return {"PATH": f"{bin_folder}:{Path(self.node.executable).parent}:/usr/local/bin:/usr/bin:/bin"}

    def sites(self, *, confined: bool) -> list[str]:
        """See Program."""
        return []


def _seen(prefix: str) -> list[Mount]:
    """The folder, unless it is seen anyway."""
    return [] if Path(prefix).is_relative_to("/usr") else [Mount(Path(prefix), prefix)]
