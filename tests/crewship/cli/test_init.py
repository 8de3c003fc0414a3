"""`crewship init` tells what a project is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from domain.manifest import parse

Command = Callable[..., Result]
COMPILED = "from langgraph.graph import StateGraph\nbuilder = StateGraph(dict)\ngraph = builder.compile()\n"
CREW_BASE = (
    "from crewai import Crew\n@CrewBase\nclass Research:\n    @crew\n    def crew(self):\n        return Crew()\n"
)
LANGGRAPH = '[project]\nname = "x"\nrequires-python = ">=3.12,<3.14"\ndependencies = ["langgraph>=1"]\n'
LANGGRAPH_JS = '{"dependencies": {"@langchain/langgraph": "^1"}}'


def make(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("files", "framework", "entrypoint"),
    [
        ({"requirements.txt": "langgraph==1.0 # x\n", "graph.py": COMPILED}, "langgraph", "graph:graph"),
        ({"pyproject.toml": LANGGRAPH, "src/agent/graph.py": COMPILED}, "langgraph", "agent.graph:graph"),
        ({"requirements.txt": "LangGraph", "src/agent/graph.py": COMPILED}, "langgraph", "./src/agent/graph.py:graph"),
        ({"requirements.txt": "langgraph", "my-agent/graph.py": COMPILED}, "langgraph", "./my-agent/graph.py:graph"),
        ({"requirements.txt": "langgraph", "pkg/agent.py": COMPILED}, "langgraph", "pkg.agent:graph"),
        (
            {"requirements.txt": "langgraph", "agent.py": "app: object = create_react_agent(m, [])\n"},
            "langgraph",
            "agent:app",
        ),
        (
            {
                "requirements.txt": "langgraph",
                "main.py": "import re\nx = re.compile('a')\ndef make():\n return b.compile()",
            },
            "langgraph",
            "main:make",
        ),
        (
            {"requirements.txt": "langgraph", "graph.py": "a = x.compile()\ngraph = a.compile()\nz = a.compile()"},
            "langgraph",
            "graph:graph",
        ),
        ({"requirements.txt": "langgraph", "graph.py": "((broken", "app.py": COMPILED}, "langgraph", "app:graph"),
        ({"requirements.txt": "crewai[tools]>=0.80", "crew.py": CREW_BASE}, "crewai", "crew:Research"),
        (
            {"pyproject.toml": '[project]\ndependencies = ["crewai"]', "src/my_crew/crew.py": CREW_BASE},
            "crewai",
            "my_crew.crew:Research",
        ),
        (
            {"pyproject.toml": '[tool.poetry.dependencies]\ncrewai = "^1"', "crew.py": "mine = Crew(agents=[])\n"},
            "crewai",
            "crew:mine",
        ),
        (
            {"requirements.txt": "crewai", "main.py": "class Poem(Flow[State]):\n pass\n"},
            "crewai",
            "main:Poem",
        ),
        (
            {
                "package.json": LANGGRAPH_JS,
                "src/graph.ts": "const b = x;\nexport const agent = new StateGraph(S)\n  .addNode(a)\n  .compile();\n",
            },
            "langgraph-js",
            "./src/graph.ts:agent",
        ),
        (
            {
                "package.json": LANGGRAPH_JS,
                "agent.ts": "const app = createReactAgent({ llm });\nexport { app as agent };\n",
            },
            "langgraph-js",
            "./agent.ts:agent",
        ),
        (
            {
                "package.json": LANGGRAPH_JS,
                "src/index.js": "export async function make(config) {\n  return b.compile();\n}\n",
            },
            "langgraph-js",
            "./src/index.js:make",
        ),
        (
            {"langgraph.json": '{"graphs": {"agent": "./src/agent/graph.py:make"}}'},
            "langgraph",
            "./src/agent/graph.py:make",
        ),
        (
            {"langgraph.json": '{"graphs": {"agent": {"path": "src/graph.ts:graph"}}}'},
            "langgraph-js",
            "./src/graph.ts:graph",
        ),
    ],
)
def test_a_projects_framework_and_entrypoint_are_found(
    files: dict[str, str], framework: str, entrypoint: str, crewship: Command, tmp_path: Path
) -> None:
    make(tmp_path, files)
    result = crewship("init")
    assert result.exit_code == 0, result.stderr
    found = parse((tmp_path / "crewship.toml").read_text()).deployment()
    assert (found.framework, found.entrypoint) == (framework, entrypoint)


def test_several_graphs_make_several_deployments(crewship: Command, tmp_path: Path) -> None:
    make(tmp_path, {"langgraph.json": '{"graphs": {"Chat Bot": "./a.py:a", "research": "./b.py:b"}}'})
    assert crewship("init").exit_code == 0
    assert parse((tmp_path / "crewship.toml").read_text()).names() == ["chat-bot", "research"]


def test_the_python_that_a_project_asks_for_is_taken(crewship: Command, tmp_path: Path) -> None:
    make(tmp_path, {"pyproject.toml": LANGGRAPH, "graph.py": COMPILED, ".python-version": "3.12\n"})
    assert crewship("init", "--name", "mine").exit_code == 0
    found = parse((tmp_path / "crewship.toml").read_text()).deployment()
    assert (found.name, found.python) == ("mine", "3.12")


def test_a_lower_bound_leaves_the_python_to_the_server(crewship: Command, tmp_path: Path) -> None:
    make(tmp_path, {"pyproject.toml": LANGGRAPH, "graph.py": COMPILED})
    assert crewship("init").exit_code == 0
    assert parse((tmp_path / "crewship.toml").read_text()).deployment().python is None


def test_nothing_is_overwritten_unless_asked_for(crewship: Command, tmp_path: Path) -> None:
    make(tmp_path, {"requirements.txt": "langgraph", "graph.py": COMPILED, "crewship.toml": "mine"})
    result = crewship("init")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: crewship.toml would be overwritten: add --force to do so\n",
    )
    assert (tmp_path / "crewship.toml").read_text() == "mine"
    assert crewship("init", "--force").exit_code == 0
    assert (tmp_path / "crewship.toml").read_text() != "mine"


def test_what_cannot_be_found_can_be_said(crewship: Command, tmp_path: Path) -> None:
    assert "no crewai, langgraph or @langchain/langgraph" in crewship("init").stderr
    make(tmp_path, {"requirements.txt": "crewai"})
    result = crewship("init")
    assert result.exit_code == 2
    assert "is a crewai project, but its entrypoint was not found: add --entrypoint" in result.stderr
    assert crewship("init", "--entrypoint", "a:b").exit_code == 0
    assert parse((tmp_path / "crewship.toml").read_text()).deployment().framework == "crewai"


def test_an_entrypoint_that_is_none_is_refused_before_it_is_written(crewship: Command, tmp_path: Path) -> None:
    assert crewship("init", "--framework", "crewai", "--entrypoint", "x").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_crew_template_says_that_it_needs_a_key(crewship: Command, tmp_path: Path) -> None:
    result = crewship("init", "--template", "crewai", "crew")
    assert result.exit_code == 0
    assert "crewship env set OPENAI_API_KEY" in result.stderr
    files = {path.name: path.read_text() for path in (tmp_path / "crew").iterdir()}
    assert files.keys() > {"crew.py", "agents.yaml", "tasks.yaml", "pyproject.toml", "README.md"}
    found = parse(files["crewship.toml"]).deployment()
    assert (found.name, found.framework, found.entrypoint) == ("crew", "crewai", "crew:ResearchCrew")
    assert not any("{{" in text for text in files.values())
    compile(files["crew.py"], "crew.py", "exec")


def test_the_template_is_a_whole_project(crewship: Command, tmp_path: Path) -> None:
    result = crewship("init", "--template", "langgraph", "My Agent", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["name"] == "my-agent"
    folder = tmp_path / "My Agent"
    assert sorted(path.name for path in folder.iterdir()) == [
        ".gitignore",
        "README.md",
        "crewship.toml",
        "graph.py",
        "pyproject.toml",
    ]
    found = parse((folder / "crewship.toml").read_text()).deployment()
    assert (found.name, found.framework, found.entrypoint) == ("my-agent", "langgraph", "graph:graph")
    assert not any("{{" in path.read_text() for path in folder.iterdir())
    compile((folder / "graph.py").read_text(), "graph.py", "exec")


@pytest.mark.parametrize(
    ("template", "entrypoint"), [("langgraph", "graph:graph"), ("langgraph-js", "./graph.ts:graph")]
)
def test_init_finds_what_its_own_template_holds(
    template: str, entrypoint: str, crewship: Command, tmp_path: Path
) -> None:
    crewship("init", "--template", template, ".")
    (tmp_path / "crewship.toml").unlink()
    assert crewship("init").exit_code == 0
    found = parse((tmp_path / "crewship.toml").read_text()).deployment()
    assert (found.framework, found.entrypoint) == (template, entrypoint)


@pytest.mark.parametrize(
    ("file", "text"), [(".nvmrc", "v22.11.0\n"), (".node-version", "22"), ("langgraph.json", '{"node_version": "22"}')]
)
def test_the_node_that_a_project_pins_is_taken_over(file: str, text: str, crewship: Command, tmp_path: Path) -> None:
    graph = "export const graph = builder.compile();\n"
    make(tmp_path, {"package.json": LANGGRAPH_JS, "graph.ts": graph, file: text})
    assert crewship("init").exit_code == 0
    assert parse((tmp_path / "crewship.toml").read_text()).deployment().node == "22"
