"""`python -m tests.bench`: every figure, with its reference measured in the same run."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.bench import appends, rebuild, streams
from tests.bench.figures import tell


def main() -> None:
    """Measure; --quick takes a tenth of the time and says correspondingly little."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    tell("figure", "here", "reference", None)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        folders = [Path(temporary) / name for name in ("appends", "streams", "rebuild")]
        for folder in folders:
            folder.mkdir()
        asyncio.run(appends.measure(folders[0], 0.5 if quick else 5.0))
        asyncio.run(streams.measure(folders[1], 500 if quick else 5000))
        asyncio.run(rebuild.measure(folders[2], 500 if quick else 20_000))


if __name__ == "__main__":
    main()
