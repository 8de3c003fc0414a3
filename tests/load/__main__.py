"""`python -m tests.load`: every load in turn, told in figures."""

import argparse
import resource
import tempfile
from pathlib import Path

from tests.load.scenes import all_scenes, opened


def main() -> None:
    """--size 0.1 is a tenth of everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=float, default=1.0)
    size = parser.parse_args().size
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        server = opened(Path(folder))
        try:
            all_scenes(server, size, lambda line: print(line, flush=True))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
