"""`python -m tests.bench`: every figure, with its reference measured in the same run; or one scenario alone.

The scenarios `starts` and `neighbours` need a Docker engine, and minutes.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.bench import appends, neighbours, rebuild, starts, streams
from tests.bench.figures import tell

SCENARIOS = {"starts": starts.main, "neighbours": neighbours.main}


def main() -> None:
    """Measure; --quick takes a tenth of the time and says correspondingly little."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("scenario", nargs="?", choices=sorted(SCENARIOS))
    options = parser.parse_args()
    quick = options.quick
    tell("figure", "here", "reference", None)
    if options.scenario:
        SCENARIOS[options.scenario](3 if quick else 20)
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        folders = [Path(temporary) / name for name in ("appends", "streams", "rebuild")]
        for folder in folders:
            folder.mkdir()
        asyncio.run(appends.measure(folders[0], 0.5 if quick else 5.0))
        asyncio.run(streams.measure(folders[1], 500 if quick else 5000))
        asyncio.run(rebuild.measure(folders[2], 500 if quick else 20_000))


if __name__ == "__main__":
    main()
