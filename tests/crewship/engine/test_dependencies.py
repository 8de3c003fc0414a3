"""What a project says about itself, read from its files."""

import pytest

from crewship.engine import dependencies
from crewship.engine.executor import BuildFailed
from crewship.engine.pythons import Python

PYTHON = Python(executable="/usr/bin/python3.11", prefix="/usr", version="3.11.2")
PROJECT = '[project]\nname = "agent"\nversion = "1"\n'


@pytest.fixture
def project(tmp_path):
    """Writes files of a project; gives what is read of it."""

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return dependencies.read(tmp_path)

    return write


def key(project, deployment="dep_1", sha256="0", python=PYTHON):
    return dependencies.key(project, python, deployment, sha256)


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({}, "none"),
        ({"requirements.txt": "a"}, "requirements"),
        ({"pyproject.toml": PROJECT}, "none"),
        ({"pyproject.toml": PROJECT, "requirements.txt": "a"}, "requirements"),
        ({"pyproject.toml": PROJECT + "dependencies = []", "requirements.txt": "a"}, "pyproject"),
        ({"pyproject.toml": PROJECT + 'dynamic = ["dependencies"]'}, "pyproject"),
        ({"pyproject.toml": PROJECT + "dependencies = []", "uv.lock": "version = 1"}, "lock"),
        ({"pyproject.toml": "[tool.black]", "requirements.txt": "a"}, "requirements"),
        ({"pyproject.toml": "[tool.black]", "requirements.txt": "a", "uv.lock": ""}, "requirements"),
        ({"pyproject.toml": '[build-system]\nrequires = ["poetry-core"]'}, "pyproject"),
    ],
)
def test_one_file_decides_about_the_dependencies(project, files, source):
    assert project(files).source == source


def test_python_and_packaging_are_read(project):
    read = project({"pyproject.toml": PROJECT + 'requires-python = ">=3.10"\n[build-system]\nrequires = []'})
    assert read.requires_python == ">=3.10"
    assert read.packaged


def test_a_broken_pyproject_fails_with_its_name(project):
    with pytest.raises(BuildFailed, match=r"pyproject\.toml: "):
        project({"pyproject.toml": "["})


def test_the_key_changes_with_what_is_installed_and_with_nothing_else(project):
    first = project({"requirements.txt": "langgraph\n", "graph.py": "1"})
    again = project({"graph.py": "2"})
    assert key(first) == key(again, sha256="1")
    assert key(first) != key(project({"requirements.txt": "langgraph==1\n"}))
    assert key(first) != key(first, deployment="dep_2")
    assert key(first) != key(first, python=Python(executable="/usr/bin/python3.12", prefix="/usr", version="3.12.0"))


def test_the_key_holds_what_requirements_include(project):
    first = project({"requirements.txt": "-r base.txt\n-c limits/c.txt", "base.txt": "a", "limits/c.txt": "a<2"})
    assert key(first) != key(project({"base.txt": "a==1"}))
    assert key(project({})) != key(project({"limits/c.txt": "a<3"}))


def test_requirements_that_include_themselves_or_what_lies_outside_are_read_once(project, tmp_path):
    assert project({"requirements.txt": "-r requirements.txt\n-r ../../../../etc/passwd"}).text.count("passwd") == 1


@pytest.mark.parametrize(
    "files",
    [
        {"requirements.txt": "./package"},
        {"requirements.txt": "a\n -e ."},
        {"requirements.txt": "a @ file:///app/a.whl"},
        {"pyproject.toml": PROJECT + 'dynamic = ["dependencies"]'},
        {"pyproject.toml": PROJECT + 'dependencies = ["a"]\n[tool.uv.sources]\na = { path = "a" }'},
        {"pyproject.toml": PROJECT + "dependencies = []", "uv.lock": 'source = { editable = "package" }'},
    ],
)
def test_the_key_holds_the_whole_source_where_files_of_it_are_installed(project, files):
    read = project(files)
    assert key(read, sha256="0") != key(read, sha256="1")


def test_a_lock_that_names_only_the_project_itself_is_not_local(project):
    read = project({"pyproject.toml": PROJECT + "dependencies = []", "uv.lock": 'source = { virtual = "." }'})
    assert not read.local


@pytest.mark.parametrize("entrypoint", ["graph:graph", "./graph.py:graph", "package:graph", "package.inner:graph"])
def test_an_entrypoint_is_found_as_module_package_or_file(tmp_path, entrypoint):
    (tmp_path / "package").mkdir()
    for name in ("graph.py", "package/__init__.py", "package/inner.py"):
        (tmp_path / name).write_text("graph = 1")
    assert dependencies.check_entrypoint(entrypoint, [tmp_path / "other", tmp_path]) == []


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ("graph:graph", 'entrypoint "graph:graph": no module graph.py in the project'),
        ("a.b:graph", 'entrypoint "a.b:graph": no module a/b.py in the project'),
        ("./src/x.py:graph", 'entrypoint "./src/x.py:graph": no module src/x.py in the project'),
        ("graph", 'entrypoint "graph": write it as module:attribute'),
        ("graph:", 'entrypoint "graph:": write it as module:attribute'),
    ],
)
def test_an_entrypoint_that_is_nowhere_fails(tmp_path, entrypoint, message):
    with pytest.raises(BuildFailed) as failure:
        dependencies.check_entrypoint(entrypoint, [tmp_path])
    assert str(failure.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "graph = 1",
        "graph: int = 1",
        "other, graph = 1, 2",
        "def graph(): ...",
        "async def graph(): ...",
        "class graph: ...",
        "from x import graph",
        "from x import other as graph",
        "from x import *",
        "if True:\n    from x import graph",
        "try:\n    graph = 1\nexcept E:\n    pass",
        "with x as graph: pass",
        "def __getattr__(name): ...",
    ],
)
def test_an_attribute_is_seen_however_it_is_bound(tmp_path, text):
    (tmp_path / "graph.py").write_text(text)
    assert dependencies.check_entrypoint("graph:graph", [tmp_path]) == []


@pytest.mark.parametrize("text", ["other = 1", "def other():\n    graph = 1", "graph = ("])
def test_an_attribute_that_is_not_seen_is_a_warning(tmp_path, text):
    (tmp_path / "graph.py").write_text(text)
    (warning,) = dependencies.check_entrypoint("graph:graph", [tmp_path])
    assert warning.startswith('warning: entrypoint "graph:graph": ')


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", "\n" * 500_000 + "langgraph"),  # a pattern may not run over all lines from each line
        ("requirements.txt", " " * 500_000 + "langgraph"),
    ],
)
def test_empty_lines_without_end_do_not_hold_up_the_server(project, name, text):
    assert not project({name: text}).local


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"requirements.txt": "#" * (1024 * 1024 + 1)}, "requirements.txt: larger than 1 MiB"),
        ({"requirements.txt": "-r a.txt\n-r b.txt", **dict.fromkeys(("a.txt", "b.txt"), "#" * 600_000)}, "more than 1"),
        ({"pyproject.toml": "#" * (1024 * 1024 + 1)}, "pyproject.toml: larger than 1 MiB"),
        ({"pyproject.toml": "a = " + "[" * 100_000}, "too large to be read"),
        ({"pyproject.toml": ".".join("a" * 100_000) + " = 1"}, "too large to be read"),
    ],
)
def test_what_would_cost_the_server_too_much_fails_the_build(project, files, message):
    with pytest.raises(BuildFailed, match=message):
        project(files)


def test_requirements_that_include_one_another_in_a_long_row_are_read(project):
    chain = {f"{number}.txt": f"-r {number + 1}.txt\n" for number in range(2_000)}
    assert "-r 2000.txt" in project({"requirements.txt": "-r 0.txt", **chain}).text


def test_an_entrypoint_that_a_build_made_a_link_is_not_looked_into(tmp_path):
    (tmp_path / "outside.py").write_text("graph = 1")
    site = tmp_path / "site"
    site.mkdir()
    (site / "graph.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(BuildFailed, match="no module graph"):
        dependencies.check_entrypoint("graph:graph", [site])


def test_a_huge_module_is_found_and_not_read(tmp_path):
    with (tmp_path / "graph.py").open("wb") as file:
        file.truncate(1 << 40)  # a hole, which takes no disk, but would take all memory
    assert dependencies.check_entrypoint("graph:graph", [tmp_path]) == []
