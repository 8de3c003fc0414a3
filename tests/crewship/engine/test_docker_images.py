"""Images: layers that are shared, what stands in them, which of them go, and builds that fail."""

import asyncio
import json
import os
import secrets

import pytest

from crewship.engine.docker_bases import allows, chosen
from crewship.engine.executor import BuildFailed
from tests.conformance.executor import PROJECT, hear, launch_of, order_of
from tests.docker import docker, opened

SECRET = "pw-7Yq1-secret"


@pytest.fixture
async def server(tmp_path):
    async with opened(tmp_path / "data", "srv_images") as server:
        yield server
        assert not list((tmp_path / "data" / "builds").glob("*"))
        await server.builder.prune({order_of(PROJECT, tmp_path).version_id}, young=0)


@pytest.mark.parametrize(
    ("asked", "version", "holds"),
    [
        (None, "3.12", True),
        ("3.12", "3.12", True),
        ("3.12", "3.11", False),
        (">=3.10", "3.12", True),
        (">=3.11.4", "3.11", True),
        (">=3.13", "3.12", False),
        (">=3.11,<3.12", "3.11", True),
        (">=3.11, <3.12", "3.12", False),
        ("<3.12", "3.12", False),
        ("<=3.12", "3.11", True),
        (">3.11", "3.11", False),
        (">3.11", "3.12", True),
        ("~=3.11", "3.13", True),
        ("~=3.11.2", "3.12", False),
        ("==3.11.*", "3.11", True),
        ("!=3.11.*", "3.11", False),
        ("!=3.11.2", "3.11", True),
        (">=4", "3.13", False),
    ],
)
def test_a_request_for_a_python_is_understood(asked, version, holds):
    assert allows(asked, version) is holds


def test_the_operators_base_images_come_first_then_official_ones():
    images = {("slim", "3.12"): "ours:3.12", ("browser", "3.11"): "browsers"}
    assert chosen(None, "slim", images) == ("3.12", "ours:3.12")
    assert chosen("3.13", "slim", images) == ("3.13", "python:3.13-slim")
    assert chosen(">=3.11", "browser", images) == ("3.11", "browsers")
    with pytest.raises(BuildFailed, match="CREWSHIP_BASE_IMAGE_BROWSER_PYTHON_3_12"):
        chosen("3.12", "browser", images)


async def test_a_change_of_source_alone_reuses_the_dependencies(server, tmp_path):
    first = order_of({**PROJECT, "new.py": f"x = {str(tmp_path)!r}"}, tmp_path)
    await server.build(first)
    second = order_of({**PROJECT, "new.py": f"y = {str(tmp_path)!r}"}, tmp_path)
    assert "Dependencies unchanged, reused" in await server.build(second)
    layers = [
        json.loads(docker("inspect", (await server.builder.find(order)).id))[0]["RootFS"]["Layers"]
        for order in (first, second)
    ]
    base_runner_and_dependencies = 3
    assert layers[0][:base_runner_and_dependencies] == layers[1][:base_runner_and_dependencies]
    assert layers[0][-1] != layers[1][-1]


async def test_building_what_is_built_does_nothing(server, tmp_path):
    order = order_of(PROJECT, tmp_path)
    await server.build(order)
    assert await server.build(order) == ["Built already, nothing to do"]


async def test_an_image_says_whose_it_is_and_holds_no_secret_of_the_operator(tmp_path):
    given = {"UV_INDEX_CREWSHIP_PASSWORD": SECRET, "UV_EXTRA_INDEX_URL": f"http://someone:{SECRET}@127.0.0.1:9/simple"}
    files = {"requirements.txt": f"six==1.16.0 # {tmp_path.name}\n", "main.py": "graph = 1"}
    async with opened(tmp_path / "data", "srv_secrets", environ=environ() | given) as server:
        order = order_of(files, tmp_path, entrypoint="main:graph")
        with pytest.raises(BuildFailed) as failure:
            await server.build(order)
        assert SECRET not in str(failure.value)
        del given["UV_EXTRA_INDEX_URL"]
    async with opened(tmp_path / "data", "srv_secrets", environ=environ() | given) as server:
        order = order_of(PROJECT, tmp_path)
        said = await server.build(order)
        assert SECRET not in "".join(said)
        for image in [*server.images("version"), *server.images("environment")]:
            assert SECRET not in json.dumps(image)
            assert SECRET not in docker("history", "--no-trunc", image["Id"])
            assert all("UV_" not in entry and "SSL" not in entry for entry in image["Config"]["Env"])
        labels = server.images("version")[0]["Config"]["Labels"]
        assert labels["crewship.version_id"] == order.version_id
        assert labels["crewship.deployment_id"] == order.deployment_id
        assert labels["crewship.server_id"] == "srv_secrets"
        look = """
            import subprocess
            result = subprocess.run(
                ["grep", "-rlsI", "SECRET", "/venv", "/etc", "/app", "/opt", "/site", "/source", "/cache"],
                capture_output=True, text=True).stdout
        """.replace("SECRET", SECRET)
        told = await hear(await server.executor.launch(launch_of(order, look)))
        assert told.result == ""


def environ() -> dict[str, str]:
    return {**os.environ, "UV_HTTP_RETRIES": "0"}


async def test_a_project_that_is_a_package_is_installed(server, tmp_path):
    files = {
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "agency"\nversion = "1"\ndependencies = ["langgraph==1.0.5"]\n'
        '[tool.setuptools.packages.find]\nwhere = ["src"]\n',
        "src/agency/__init__.py": "",
        "src/agency/graph.py": PROJECT["graph.py"],
    }
    order = order_of(files, tmp_path, entrypoint="agency.graph:graph")
    await server.build(order)
    code = "from importlib.metadata import version\nresult = version('agency')"
    assert (await hear(await server.executor.launch(launch_of(order, code)))).result == "1"


@pytest.mark.parametrize(
    ("files", "more", "message"),
    [
        ({"requirements.txt": ""}, {}, "langgraph is not among the dependencies"),
        ({"requirements.txt": "langgraph==99.0"}, {}, "langgraph"),
        ({}, {"entrypoint": "missing:graph"}, "no module missing.py"),
        ({}, {"python": "3.7"}, "CREWSHIP_BASE_IMAGE_SLIM_PYTHON_3_7"),
        ({}, {"profile": "browser"}, "CREWSHIP_BASE_IMAGE_BROWSER_PYTHON"),
        ({}, {"framework": "unheard"}, "unheard"),
    ],
)
async def test_a_build_that_cannot_be_says_why_and_leaves_nothing(server, tmp_path, files, more, message):
    (tmp_path / "data" / "builds").mkdir(parents=True, exist_ok=True)
    order = order_of({**PROJECT, **files}, tmp_path, **more)
    version = order.version_id + "-failing"
    order = type(order)(**{name: getattr(order, name) for name in order.__struct_fields__} | {"version_id": version})
    with pytest.raises(BuildFailed, match=message):
        await server.build(order)
    assert await server.builder.find(order) is None
    assert server.left() == []


@pytest.mark.parametrize("turns", [1, 30, 60, 90])
async def test_a_build_that_is_cancelled_early_leaves_nothing_behind(server, tmp_path, turns):
    files = {**PROJECT, "requirements.txt": f"{PROJECT['requirements.txt']}# {tmp_path}\n"}
    building = asyncio.create_task(server.build(order_of(files, tmp_path)))
    for _ in range(turns):
        await asyncio.sleep(0)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert server.left() == []


async def test_a_cancelled_build_leaves_nothing_behind(server, tmp_path):
    files = {**PROJECT, "requirements.txt": f"{PROJECT['requirements.txt']}# {tmp_path}\n"}
    lines = server.builder.build(order_of(files, tmp_path))
    async for line in lines:
        if line.startswith("Installing"):
            break
    going = asyncio.create_task(anext(lines))
    async with asyncio.timeout(30):
        await _appears(server)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    await lines.aclose()
    assert server.left() == []


async def _appears(server) -> None:
    while not await asyncio.to_thread(server.left):
        pass


async def test_images_that_no_version_needs_go_and_the_others_stay(tmp_path):
    async with opened(tmp_path / "data", f"srv_{secrets.token_hex(4)}") as server:
        kept = order_of(PROJECT, tmp_path)
        await server.build(kept)
        old = order_of({**PROJECT, "old.py": ""}, tmp_path)
        await server.build(old)
        assert await server.builder.prune({kept.version_id}) == []  # young
        assert await server.builder.prune({kept.version_id}, young=0) == [
            server.builder.image("version", old.version_id)
        ]
        assert await server.builder.find(old) is None
        assert (await hear(await server.executor.launch(launch_of(kept, "result = 1")))).result == 1
        assert len(await server.builder.prune(set(), young=0)) == 0  # a container uses it
        sandbox = await server.executor.find("run_1")
        await sandbox.remove()
        assert len(await server.builder.prune(set(), young=0)) == 2
        assert server.images("version") == server.images("environment") == []
        server.builder.bases.runner = "of the next release"
        assert len(await server.builder.prune(set(), young=0)) == 1
        assert server.images("runner") == []
        await server.executor.network.remove()
        await server.builder.network.remove()


async def test_a_base_image_that_is_nowhere_is_named(server, tmp_path):
    order = order_of({**PROJECT, "x.py": str(tmp_path)}, tmp_path, python="3.12")
    server.builder.bases._images[("slim", "3.12")] = "localhost:1/nobody:3.12"
    with pytest.raises(BuildFailed, match=r"the base image localhost:1/nobody:3\.12 cannot be pulled"):
        await server.build(order)


async def test_a_version_of_a_former_release_gets_this_servers_runner(server, tmp_path, monkeypatch):
    order = order_of(PROJECT, tmp_path)
    await server.build(order)
    monkeypatch.setattr(server.builder.bases, "runner", "another")
    found = await server.builder.find(order)
    assert found is not None
    assert found.labels["crewship.runner"] == "another"
    assert (await hear(await server.executor.launch(launch_of(order, "result = 1")))).result == 1
    monkeypatch.undo()
