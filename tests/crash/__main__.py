"""`python -m tests.crash`: kill a server hundreds of times, and see what it remembers."""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.harness import crash


def main() -> None:
    """Run the harness, tell what it did; the seed makes it happen again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--executor", choices=("local", "docker"), default="local")
    parser.add_argument("--keep", action="store_true", help="keep the data folder of a run that failed")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    folder = Path(tempfile.mkdtemp(prefix="crewship-crash-"))
    print(f"seed {seed}, folder {folder}", flush=True)
    begun = time.monotonic()
    try:
        tally = crash(folder, seed, given.kills, executor=given.executor, tell=lambda line: print(line, flush=True))
    except AssertionError as broken:
        sys.exit(f"NOT TRUE after all: {broken}\nagain with: scripts/crash --seed {seed} --kills {given.kills}")
    print(f"{tally.told()}, in {time.monotonic() - begun:.0f} s")
    for name, count in sorted(tally.kills.items()):
        print(f"  {name:<16}{count:>5}")


if __name__ == "__main__":
    main()
