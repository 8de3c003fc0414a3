"""Everything that /openapi.json says one may ask, and much that it says one may not, asked of a real server.

The short form asks some 1,000 times; --long at least 10,000 times. Uploads are left to test_fuzz.py: no tool makes
tars. The bell of /v1/changes rings without an end, so it has a test of its own.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import ADMIN_KEY, Api, ServerProcess

# Valid by its shape is not valid by its meaning: "Cannot cancel run with status: succeeded".
# Runs and threads outlive what is asked of them, and a deployment with runs is not deleted.
NOT_PROMISED = "positive_data_acceptance,use_after_free,ensure_resource_availability"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder: Path = tmp_path_factory.mktemp("asked")
    process = ServerProcess(folder / "data", CREWSHIP_RATE_LIMIT="0").start()
    with process.client() as client:
        api = Api(client)
        version = api.deploy("probe")
        run = api.run("probe", ["say", 1])
        thread = client.post("/v1/threads", json={"deployment_id": "probe"}).json()
    (folder / "schemathesis.toml").write_text(
        f"""[parameters]
"path.deployment" = "probe"
"path.version_id" = "{version["id"]}"
"path.run_id" = "{run["id"]}"
"path.thread_id" = "{thread["thread_id"]}"
"query.timeout" = 0
"""
    )
    yield process
    output = process.output()
    assert process.stop() == 0, output
    assert "a request failed" not in output


def ask(server: ServerProcess, *more: str) -> int:
    """Run schemathesis; returns how many requests it made."""
    command = [str(Path(sys.executable).parent / "st"), "run", f"{server.url}/openapi.json", "--no-color"]
    command += [
        "--exclude-operation-id",
        "deployments_upload",
        "--exclude-operation-id",
        "changes_stream",
        "--exclude-checks",
        NOT_PROMISED,
    ]
    command += ["--phases", "coverage,fuzzing", "--request-timeout", "30", "--warnings", "off", "--no-shrink"]
    done = subprocess.run([*command, *more], cwd=server.data.parent, capture_output=True, text=True, check=False)
    told = done.stdout[-6000:]
    assert done.returncode == 0, told
    made = re.search(r"(\d+) generated", told)
    assert made, told
    return int(made[1])


def with_key() -> tuple[str, str]:
    return ("--header", f"Authorization: Bearer {ADMIN_KEY}")


def test_with_a_key_nothing_breaks_and_nothing_is_undocumented(asked: ServerProcess):
    assert ask(asked, *with_key(), "--generation-deterministic", "--max-examples", "2") > 500


def test_without_a_key_nothing_breaks_and_nothing_is_undocumented(asked: ServerProcess):
    assert ask(asked, "--generation-deterministic", "--max-examples", "1", "--phases", "fuzzing") > 30


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_same_ten_thousand_times(asked: ServerProcess):
    assert ask(asked, *with_key(), "--max-examples", "140") + ask(asked, "--max-examples", "20") > 10_000
