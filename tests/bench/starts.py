"""From POST to the start of a run: cold and warm, in the local sandbox and in Docker, against a bare `docker run`."""

import subprocess
import tempfile
import time
from pathlib import Path

from tests import projects
from tests.bench.figures import percentile, tell
from tests.docker import docker, engine_and_base
from tests.server import Api, ServerProcess

FIRST_LINE = "here"
FILES = {
    **projects.PROBE,
    "graph.py": projects.GRAPH.replace('    """Take the steps."""\n', f'    print("{FIRST_LINE}", flush=True)\n'),
}
WARM = {**FILES, "crewship.toml": projects.MANIFEST + "min_warm = 1\n"}
WARM_SECONDS = 120.0


def measure(folder: Path, number: int) -> None:
    """`number` runs of each kind, one after the other."""
    url, image = engine_and_base()
    tags = {"DOCKER_HOST": url, "CREWSHIP_BASE_IMAGE_SLIM_PYTHON_3_11": image}
    bare = [_bare(image) for _ in range(number)]
    for executor, settings in (("local", {}), ("docker", tags)):
        server = ServerProcess(folder / executor, "--executor", executor, **settings).start()
        try:
            with server.client() as client:
                api = Api(client)
                api.deploy("cold", FILES)
                api.deploy("warm", WARM)
                for kind in ("cold", "warm"):
                    times = [_started(server, api, kind) for _ in range(number)]
                    for at, name in enumerate(("run.started", "first line")):
                        _tell(f"{executor} {kind}: POST → {name}", [one[at] for one in times], bare)
        finally:
            server.stop()


def _started(server: ServerProcess, api: Api, name: str) -> tuple[float, float]:
    """Seconds from the request to `run.started` on the stream, and to the entrypoint's first line."""
    if name == "warm":
        _wait_for_warmth(server)
    began = time.perf_counter()
    run_id = api.start(name)
    started = first = 0.0
    for event in api.events(f"/v1/runs/{run_id}/events"):
        if event["event"] == "run.started":
            started = time.perf_counter() - began
        if event["event"] == "log" and event["data"]["message"] == FIRST_LINE:
            first = time.perf_counter() - began
    api.wait(run_id)
    return started, first


def _wait_for_warmth(server: ServerProcess) -> None:
    """Until a sandbox waits: told by how long none has been made, since what waits is nobody's and shown nowhere."""
    deadline = time.monotonic() + WARM_SECONDS
    while time.monotonic() < deadline:
        folders = list((server.data / "runs").glob("warm_*/journal"))
        if any(b'"warm"' in journal.read_bytes() for journal in folders):
            return
        names = docker("ps", "--quiet", "--filter", "name=-warm_").split()
        if any('"warm"' in docker("logs", name) for name in names):
            return
        time.sleep(0.2)
    raise TimeoutError("nothing got warm")


def _bare(image: str) -> float:
    """Seconds of a `docker run` of the base image to its first line."""
    command = ["docker", "--host", engine_and_base()[0], "run", "--rm", image, "python3", "-c", "print('here')"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.perf_counter() - began


def _tell(name: str, times: list[float], bare: list[float]) -> None:
    middle, reference = percentile(times, 0.5), percentile(bare, 0.5)
    shown = f"p50 {middle:.3f} p99 {percentile(times, 0.99):.3f} s"
    tell(name, shown, f"docker run: p50 {reference:.2f} p99 {percentile(bare, 0.99):.2f} s", middle / reference)


def main(number: int) -> None:
    """Measure in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        measure(Path(temporary), number)
