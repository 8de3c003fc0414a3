"""What code in a local sandbox must not be able to do, tried as code of a run: with a server that is root, and without.

The unprivileged server is a process of its own that becomes `nobody`, in a mount namespace in which that user reaches
the repository and the interpreter, wherever they lie.
"""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.executor import PROJECT, order_of
from tests.crewship.engine import cache

REPOSITORY = Path(__file__).parents[3]
NOBODY = 65534
WHO = ["root", "nobody"] if os.geteuid() == 0 else ["myself"]


def as_nobody(command: list[str], needed: list[Path]) -> list[str]:
    """The command, started as `nobody` where the needed folders can be reached by that user at their own places."""
    stage = Path("/mnt")
    lines = [f"mount -t tmpfs tmpfs {stage}"]
    closed = {path: wall for path in needed if (wall := _wall(path)) is not None}
    for number, path in enumerate(closed):
        lines += [f"mkdir {stage}/{number}", f"mount --bind {shlex.quote(str(path))} {stage}/{number}"]
    for wall in sorted(set(closed.values())):
        lines.append(f"mount -t tmpfs -o mode=0755 tmpfs {shlex.quote(str(wall))}")
    for number, path in enumerate(closed):
        lines += [f"mkdir -p {shlex.quote(str(path))}", f"mount --bind {stage}/{number} {shlex.quote(str(path))}"]
    become = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--", *command]
    script = "\n".join([*lines, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", script, "sh", *become]


def _wall(path: Path) -> Path | None:
    """The outermost folder on the way that a stranger cannot pass."""
    return next((part for part in reversed([path, *path.parents]) if not part.stat().st_mode & 0o001), None)


@pytest.fixture
async def built(tmp_path):
    """A data folder that has the version, readable by everybody."""
    builder = cache.shared_builder()
    async for _ in builder.build(order_of(PROJECT, tmp_path)):
        pass
    folder = tmp_path / "built"
    folder.mkdir()
    for name in ("environments", "versions", "snapshots"):
        (folder / name).symlink_to(builder.data / name)
    return folder


@pytest.fixture(params=WHO)
def who(request):
    return request.param


@pytest.fixture
async def outcome(who, built, tmp_path):
    """What the attack came to."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    command = [sys.executable, "-m", "tests.crewship.engine.attack", str(tmp_path), str(data), str(built)]
    if who == "nobody":
        for folder in (tmp_path, data, built):
            os.chown(folder, NOBODY, NOBODY)
        (tmp_path / "snapshot.tar.gz").chmod(0o666)
        needed = [Path(sys.base_prefix), Path(sys.prefix), REPOSITORY, cache.folder(), tmp_path]
        command = as_nobody(command, needed)
    done = await asyncio.to_thread(subprocess.run, command, cwd=REPOSITORY, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


async def test_every_attempt_is_refused(outcome, who):
    assert outcome["warning"] is None
    assert outcome["attempts"]
    assert [f"{what}: {came}" for what, came in outcome["attempts"].items() if not came.startswith("refused")] == []
    assert outcome["other alive"]
    assert outcome["left"] == []
    seen = outcome["outside"]
    assert int(seen["CapEff"], 16) == int(seen["CapPrm"], 16) == int(seen["CapBnd"], 16) == 0
    assert seen["NoNewPrivs"] == "1"
    user = int(seen["Uid"].split()[0])
    assert user >= 400_000 if who == "root" else user == (NOBODY if who == "nobody" else os.geteuid())
    assert set(seen["Groups"].split()) <= {seen["Gid"].split()[0]} if who == "root" else True
