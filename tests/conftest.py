"""What many tests need: a real database, a real server."""

import os
import sys
from collections.abc import Iterator
from itertools import count

import psycopg
import pytest
from xdist.dsession import LoadFileScheduling

from tests import postgres
from tests.server import Api, ServerProcess

LINES_OF_A_FAILURE = 40


def pytest_addoption(parser: pytest.Parser) -> None:
    """scripts/test --long runs the long forms too."""
    parser.addoption("--long", action="store_true", help="run what CI has no time for, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --long, the tests marked so are not in the run at all."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)


class OneEngine(LoadFileScheduling):
    """Files are dealt out whole; those that use the Docker engine go to one process, because they share an engine."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "docker" if "docker" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneEngine:
    """How xdist deals out the tests."""
    return OneEngine(config, log)


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Show a failure when it happens: a run that is stopped half way has then said what was wrong."""
    if report.failed and not os.environ.get("PYTEST_XDIST_WORKER"):
        shown = "\n".join(report.longreprtext.splitlines()[-LINES_OF_A_FAILURE:])
        sys.stderr.write(f"\nFAILED {report.nodeid} ({report.when})\n{shown}\n")
        sys.stderr.flush()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[str]:
    """The URL of a real PostgreSQL."""
    with postgres.cluster() as url:
        yield url


_numbers = count(1)


@pytest.fixture
def postgres_url(postgres_cluster: str) -> str:
    """The URL of an empty database."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_cluster, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return postgres_cluster.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that many tests share; none of them stops it."""
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data", CREWSHIP_WEBHOOK_ALLOW="127.0.0.1").start()
    yield process
    assert process.stop() == 0, process.output()


@pytest.fixture(scope="session")
def api(server: ServerProcess) -> Iterator[Api]:
    """The shared server's API, with an operator's key and the probe deployed as `probe`."""
    with server.client() as client:
        api = Api(client)
        assert api.deploy("probe")["status"] == "ready"
        yield api
