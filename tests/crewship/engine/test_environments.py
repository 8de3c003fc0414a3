"""Building: real builds with uv, of small packages that the tests bring along, so that no index is needed."""

import asyncio
import base64
import contextlib
import hashlib
import os
import zipfile

import pytest

from crewship.engine.environments import LocalBuilder
from crewship.engine.executor import BuildFailed
from tests.conformance.executor import order_of

GRAPH = {"graph.py": "graph = 1\n"}


def wheel(folder, name, version="1.0"):
    """Write a wheel into the folder, and into the index below it."""
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}/__init__.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},\n"
        for path, text in contents.items()
    )
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as packed:
        for path, text in (contents | {f"{info}/RECORD": record + f"{info}/RECORD,,\n"}).items():
            packed.writestr(path, text)
    (folder / "index" / name).mkdir(parents=True, exist_ok=True)
    links = "".join(f'<a href="../../{path.name}">{path.name}</a>' for path in sorted(folder.glob(f"{name}-*.whl")))
    (folder / "index" / name / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


BACKEND = """
import os, subprocess, zipfile, json, sys

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    exec(open("hostile.py").read(), {})
    name = "agent-1.0-py3-none-any.whl"
    files = {
        "agent/__init__.py": "graph = 1",
        "agent-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: agent\\nVersion: 1.0\\n",
        "agent-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "".join(f"{path},,\\n" for path in files)
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as packed:
        for path, text in (files | {"agent-1.0.dist-info/RECORD": record}).items():
            packed.writestr(path, text)
    return name
"""
PACKAGE = {
    "pyproject.toml": (
        '[project]\nname = "agent"\nversion = "1.0"\ndependencies = ["langgraph"]\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    ),
    "backend.py": BACKEND,
    "hostile.py": "",
    "agent/__init__.py": "graph = 1",
}


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "langgraph")
    return folder


@pytest.fixture
def environ(wheels):
    """The operator's environment: packages from a folder alone, one setting that is a secret of the server."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PIP_FIND_LINKS": str(wheels),
        "PIP_INDEX_URL": (wheels / "index").as_uri(),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_RETRIES": "0",
        "SERVERS_SECRET": "hidden",
    }


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture(params=["sandboxed", "plain"])
def builder(request, data, environ):
    return LocalBuilder(data, environ=environ, sandboxed=request.param == "sandboxed")


@pytest.fixture
def order(tmp_path):
    return lambda files, **other: order_of(files, tmp_path, **other)


async def build(builder, order):
    async with asyncio.timeout(60):
        return [line async for line in builder.build(order)]


async def test_a_version_with_requirements_is_built_once(builder, order, data):
    one = order({**GRAPH, "requirements.txt": "langgraph\n"})
    said = await build(builder, one)
    assert "Installing dependencies (requirements.txt)" in said
    assert any("langgraph==1.0" in line for line in said)
    built = builder.find(one)
    assert built is not None
    assert (built.project / "graph.py").is_file()
    assert (built.venv / "bin" / "python").exists()
    assert list(built.venv.glob("lib/*/site-packages/langgraph/__pycache__/*.pyc"))
    assert built.site is None
    assert await build(builder, one) == ["Built already, nothing to do"]
    assert list((data / "builds").iterdir()) == []


async def test_the_same_dependencies_are_reused_by_the_next_version(builder, order):
    first, second = (order({"graph.py": f"graph = {number}", "requirements.txt": "langgraph"}) for number in (1, 2))
    await build(builder, order({"graph.py": "graph = 1", "requirements.txt": "langgraph"}))
    said = await build(builder, order({"graph.py": "graph = 2", "requirements.txt": "langgraph"}))
    assert "Dependencies unchanged, reused" in said
    assert first.version_id != second.version_id
    assert builder.find(first).venv == builder.find(second).venv


async def test_another_deployment_has_an_environment_of_its_own(builder, order):
    files = {**GRAPH, "requirements.txt": "langgraph"}
    await build(builder, order(files))
    other = order({**files, "other.py": ""}, deployment="dep_other")
    assert "Dependencies unchanged, reused" not in await build(builder, other)


async def test_one_of_several_builds_of_the_same_dependencies_does_the_work(builder, order, tmp_path):
    orders = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        files = {"graph.py": f"graph = {number}", "requirements.txt": "langgraph"}
        orders.append(order_of(files, tmp_path / str(number)))
    said = await asyncio.gather(*(build(builder, one) for one in orders))
    assert sorted("Dependencies unchanged, reused" in lines for lines in said) == [False, True, True]
    assert len({builder.find(one).venv for one in orders}) == 1


async def test_a_project_that_is_a_package_is_installed_for_its_version(builder, order):
    one = order(PACKAGE, entrypoint="agent:graph")
    await build(builder, one)
    built = builder.find(one)
    assert built.site is not None
    assert (built.site / "agent" / "__init__.py").is_file()


async def test_a_project_that_cannot_be_packaged_is_built_with_a_warning(builder, order):
    said = await build(builder, order(PACKAGE | {"hostile.py": "raise SystemExit('no way')"}, entrypoint="agent:graph"))
    assert any(line.startswith("warning: the project was not installed as a package") for line in said)


async def test_a_locked_project_gets_what_its_lock_says(builder, order, wheels):
    wheel(wheels, "langgraph", "2.0")
    lock = (
        'version = 1\nrevision = 3\nrequires-python = ">=3.8"\n\n[[package]]\nname = "agent"\nversion = "1.0"\n'
        'source = { virtual = "." }\ndependencies = [{ name = "langgraph" }]\n\n[package.metadata]\n'
        'requires-dist = [{ name = "langgraph" }]\n\n[[package]]\nname = "langgraph"\nversion = "1.0"\n'
        f'source = {{ registry = "{wheels}" }}\nwheels = [{{ path = "langgraph-1.0-py3-none-any.whl" }}]\n'
    )
    pyproject = '[project]\nname = "agent"\nversion = "1.0"\nrequires-python = ">=3.8"\ndependencies = ["langgraph"]\n'
    said = await build(builder, order({**GRAPH, "pyproject.toml": pyproject, "uv.lock": lock}))
    assert "Installing dependencies (uv.lock)" in said
    assert any("langgraph==1.0" in line for line in said)


@pytest.mark.parametrize(
    ("files", "other", "message"),
    [
        ({"requirements.txt": ""}, {}, "langgraph is not among the dependencies"),
        ({}, {}, "langgraph is not among the dependencies"),
        ({"requirements.txt": "nothing-like-this\nlanggraph"}, {}, "nothing-like-this"),
        ({"requirements.txt": "langgraph"}, {"entrypoint": "other:graph"}, r"no module other\.py in the project"),
        ({"requirements.txt": "langgraph"}, {"framework": "crewai"}, "crewai is not among the dependencies"),
        ({"requirements.txt": "langgraph"}, {"python": "3.2"}, r"Python 3\.2 is not on the server \(there: .*3\.\d+"),
    ],
)
async def test_what_cannot_be_built_fails_with_one_line_for_its_author(builder, order, data, files, other, message):
    one = order({**GRAPH, **files}, **other)
    with pytest.raises(BuildFailed, match=message) as failure:
        await build(builder, one)
    assert "\n" not in str(failure.value)
    assert builder.find(one) is None
    assert not (data / "builds").is_dir() or list((data / "builds").iterdir()) == []


async def test_an_attribute_that_is_not_there_is_a_warning(builder, order):
    said = await build(builder, order({"graph.py": "", "requirements.txt": "langgraph"}))
    assert 'warning: entrypoint "graph:graph": no graph to be seen in graph.py' in said


async def test_a_build_that_is_cancelled_leaves_nothing_behind(builder, order, data):
    one = order(PACKAGE | {"hostile.py": "import time; time.sleep(1000)"}, entrypoint="agent:graph")
    building = builder.build(one)
    async with contextlib.aclosing(building):
        async for line in building:
            if "langgraph==1.0" in line:
                break
    assert list((data / "builds").iterdir()) == []
    assert builder.find(one) is None


async def test_a_build_whose_task_is_cancelled_leaves_nothing_behind(builder, order, data):
    one = order(PACKAGE | {"hostile.py": "import time; time.sleep(1000)"}, entrypoint="agent:graph")
    installed = asyncio.Event()

    async def follow():
        async with contextlib.aclosing(builder.build(one)) as building:
            async for line in building:
                if "langgraph==1.0" in line:
                    installed.set()

    following = asyncio.ensure_future(follow())
    await installed.wait()
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert list((data / "builds").iterdir()) == []


async def test_a_build_that_takes_too_long_fails(builder, order, monkeypatch):
    monkeypatch.setattr("crewship.engine.environments.BUILD_SECONDS", 0.0)
    with pytest.raises(BuildFailed, match="too long"):
        await build(builder, order({**GRAPH, "requirements.txt": "langgraph"}))


async def test_credentials_in_urls_are_masked(builder, order):
    requirements = "--find-links https://user:password@127.0.0.1:1/links\nlanggraph\n"
    said = []
    with contextlib.suppress(BuildFailed):
        async for line in builder.build(order({**GRAPH, "requirements.txt": requirements})):
            said.append(line)
    assert not any("password" in line for line in said)


HOSTILE = """
import glob, os, sys
found = dict(os.environ)
assert "SERVERS_SECRET" not in found, found
places = [
    name for name in ("{data}", "{data}/environments", "{tmp}", os.path.expanduser("~/.."), "/var", "/run", "/home")
    if os.path.isdir(name) and name != "/tmp" and "{data}" in str(glob.glob(name + "/*"))
]
assert not places, places
assert os.getuid() == 1000, os.getuid()
assert sum(name.isdigit() for name in os.listdir("/proc")) < 6, os.listdir("/proc")
for place in ("/usr/x", "/etc/x", "/x", os.path.dirname(os.path.realpath(sys.executable)) + "/x", "{wheels}/x"):
    try:
        open(place, "w")
    except OSError:
        continue
    raise AssertionError(place)
"""


async def test_the_code_of_a_build_sees_nothing_of_the_server(order, data, environ, tmp_path, wheels):
    builder = LocalBuilder(data, environ=environ)
    assert await builder.problem() is None
    hostile = HOSTILE.format(data=data, tmp=tmp_path, wheels=wheels)
    said = await build(builder, order(PACKAGE | {"hostile.py": hostile}, entrypoint="agent:graph"))
    assert [line for line in said if "warning" in line] == []
