"""Files that tasks leave in the working directory by their `output_file`: they are artifacts too."""

from __future__ import annotations

import os
import shutil
from typing import Any

from .reporter import Reporter


class OutputFiles:
    """Copies what tasks wrote to `artifacts/` under its own name, where it lies inside the project and is not there.

    A file is looked at when a task has ended, and once more when the run has; one that no task of this run wrote stays.
    """

    def __init__(self, app: str, reporter: Reporter) -> None:
        self._app = os.path.realpath(app)
        self._reporter = reporter
        self._before: dict[str, float | None] = {}  # path → when it was last written, as it was found or copied

    def expect(self, task: Any) -> None:
        """The task may write a file."""
        named = getattr(task, "output_file", None)
        if isinstance(named, str) and named:
            path = os.path.realpath(os.path.expanduser(named))
            if path.startswith(self._app + os.sep) and not path.startswith(self._place("") + os.sep):
                self._before.setdefault(path, _written(path))

    def collect(self) -> None:
        """Copy what is new."""
        for path, before in list(self._before.items()):
            now = _written(path)
            if now is not None and now != before:
                self._before[path] = now
                self._copy(path)

    def _copy(self, path: str) -> None:
        target = self._place(os.path.relpath(path, self._app))
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(path, target)
        except OSError as error:
            name = os.path.relpath(path, self._app)
            self._reporter.log("warning", f"{name} could not be copied to the artifacts: {error.strerror}", "runner")

    def _place(self, name: str) -> str:
        return os.path.join(self._app, "artifacts", name).rstrip(os.sep)


def _written(path: str) -> float | None:
    """When a regular file was last written, in nanoseconds; None where there is none."""
    return os.stat(path).st_mtime_ns if os.path.isfile(path) else None
