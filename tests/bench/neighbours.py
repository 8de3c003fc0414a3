"""How much slower a run is beside one that takes all it can get, each with `cpus = 1`."""

import tempfile
from pathlib import Path

from tests import projects
from tests.bench.figures import percentile, tell
from tests.docker import engine_and_base
from tests.server import Api, ServerProcess

ACTS = """\
        if name == "work":
            began = time.perf_counter()
            sum(number * number for number in range(value))
            said = time.perf_counter() - began
        elif name == "burn":
            while True:
                pass
        elif name == "fork":
            while True:
                try:
                    os.fork()
                except OSError:
                    pass
        elif name == "print":
"""
FILES = {**projects.PROBE, "graph.py": projects.GRAPH.replace('        if name == "print":\n', ACTS)}
WORK = 15_000_000
MOST = 1.5  # of the time alone


def measure(folder: Path, number: int) -> None:
    """`number` runs alone, then as many beside each kind of neighbour, in Docker."""
    url, image = engine_and_base()
    settings = {"DOCKER_HOST": url, "CREWSHIP_BASE_IMAGE_SLIM_PYTHON_3_11": image}
    server = ServerProcess(folder / "docker", "--executor", "docker", **settings).start()
    try:
        with server.client() as client:
            api = Api(client)
            api.deploy("beside", FILES)
            alone = [_work(api) for _ in range(number)]
            for name in ("burn", "fork"):
                neighbour = api.start("beside", ["print", "up"], [name])
                api.until(neighbour, "running")
                beside = [_work(api) for _ in range(number)]
                client.post(f"/v1/runs/{neighbour}/cancel")
                here, reference = percentile(beside, 0.5), percentile(alone, 0.5)
                tell(
                    f"work beside: {name} (at most {MOST})",
                    f"{here:.2f} s",
                    f"alone {reference:.2f} s",
                    here / reference,
                )
    finally:
        server.stop()


def _work(api: Api) -> float:
    """Seconds that the same work takes inside of a run."""
    return float(api.run("beside", ["work", WORK])["output"]["said"])


def main(number: int) -> None:
    """Measure in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        measure(Path(temporary), number)
