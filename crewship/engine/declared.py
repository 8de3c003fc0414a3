"""The files in which a project declares what it needs, read by the server itself and therefore only so far."""

from pathlib import Path

from crewship.engine.executor import BuildFailed

BYTES = 1024 * 1024
LOCK_BYTES = 32 * 1024 * 1024  # a lock file names every file of every package


def read(path: Path, most: int = BYTES, *, strict: bool = False) -> str:
    """A file's text; with `strict` it has to be UTF-8. Raises BuildFailed for one of more than `most` bytes."""
    if path.stat().st_size > most:
        raise BuildFailed(f"{path.name}: larger than {most >> 20} MiB")
    return path.read_text("utf-8", "strict" if strict else "replace")
