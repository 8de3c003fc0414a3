"""How much disk the folders of a run take, counted in small steps so that a huge tree does not hold up the guard."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator

PAUSE = 1.0  # seconds between two counts
SLICE = 0.05  # seconds of one step

TOO_DEEP = 1 << 62  # bytes: what a tree counts as that is nested too deeply to be looked through


class DiskWatch:
    """Counts the blocks of everything in `folders`; links are not followed, a file with two names counts once."""

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders
        self._count: Iterator[int] = iter(())
        self._counting = False
        self.due = time.monotonic() + PAUSE

    def step(self) -> int:
        """Count on for at most `SLICE` seconds: bytes found so far in this count. Sets when the next step is `due`."""
        if not self._counting:
            self._count, self._counting = self._walk(), True
        began, total = time.monotonic(), 0
        for found in self._count:
            total = found
            if time.monotonic() - began > SLICE:
                break
        else:
            self._counting = False
        # Counting must not take more than a fifth of a CPU, however many files there are.
        self.due = time.monotonic() + (4 * SLICE if self._counting else PAUSE)
        return total

    def _walk(self) -> Iterator[int]:
        total, seen = 0, set()
        folders = list(self._folders)
        while folders:
            folder = folders.pop()
            try:
                entries = os.scandir(folder)
            except OSError as error:
                total += TOO_DEEP if error.errno == errno.ENAMETOOLONG else 0
                yield total
                continue
            with entries:
                for entry in entries:
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # deleted meanwhile
                    if stat.S_ISDIR(found.st_mode):
                        folders.append(entry.path)
                    if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                        if (found.st_dev, found.st_ino) in seen:
                            continue
                        seen.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * 512
                    yield total
        yield total
