"""A real PostgreSQL for the tests: a cluster of its own on a socket of its own, gone when they are."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PORT = 54329


def programs() -> Path:
    """The folder of the newest PostgreSQL server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise FileNotFoundError("no PostgreSQL server is installed: scripts/setup installs one")
    return Path(on_path).resolve().parent


@contextmanager
def cluster() -> Iterator[str]:
    """A running cluster; yields the URL of its database."""
    folder = Path(tempfile.mkdtemp(prefix="crewship-pg-"))
    # The server refuses to run as root: Debian's package brings a user for it.
    owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        shutil.chown(folder, owner)
    as_owner = ["setpriv", f"--reuid={owner}", f"--regid={owner}", "--clear-groups"] if os.geteuid() == 0 else []
    bin_folder = programs()

    def run(*command: str) -> None:
        subprocess.run([*as_owner, *command], check=True, capture_output=True, cwd=folder)

    data = folder / "data"
    run(f"{bin_folder}/initdb", "-D", str(data), "-U", "crewship", "-A", "trust", "--no-sync", "-E", "UTF8")
    options = f"-k {folder} -p {PORT} -c listen_addresses='' -c fsync=off -c max_connections=60"
    run(f"{bin_folder}/pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://crewship@/postgres?host={folder}&port={PORT}"
    finally:
        run(f"{bin_folder}/pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)
