"""The command line against a real server, as a user types it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import projects
from tests.e2e.model import model
from tests.server import ADMIN_KEY, ServerProcess

HERE = Path(__file__).parent
CREWSHIP = str(Path(sys.executable).parent / "crewship")

Crewship = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def crewship(server: ServerProcess, tmp_path: Path) -> Crewship:
    """Runs a command in the project's folder, logged in to the shared server; checks the exit code."""
    folder = tmp_path / "work"
    folder.mkdir()
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "COLUMNS": "120"}
    for name in [name for name in env if name.startswith("CREWSHIP_")]:
        del env[name]

    def run(*words: str, code: int = 0, cwd: Path = folder, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        ran = subprocess.run([CREWSHIP, *words], cwd=cwd, env=env, input=stdin, capture_output=True, text=True)
        assert ran.returncode == code, (words, ran.stdout, ran.stderr)
        assert "Traceback" not in ran.stderr or words[0] in ("invoke", "runs"), ran.stderr
        return ran

    run("login", "--url", server.url, "--key", ADMIN_KEY)
    return run


@pytest.fixture
def openai() -> Iterator[str]:
    with model() as url:
        yield url


def test_a_users_project_runs_as_it_is_and_draws_the_tree(crewship: Crewship, openai: str, tmp_path: Path):
    project = tmp_path / "work" / "research-crew"
    shutil.copytree(HERE / "research", project)
    crewship("init", cwd=project)
    manifest = (project / "crewship.toml").read_text()
    assert 'framework = "langgraph"' in manifest
    assert 'entrypoint = "graph:graph"' in manifest
    crewship("env", "set", "OPENAI_API_KEY=sk-of-the-tests", f"OPENAI_BASE_URL={openai}", cwd=project)
    deployed = crewship("deploy", "--json", cwd=project)
    version = json.loads(deployed.stdout.splitlines()[-1])
    assert set(version) == {"deployment_id", "version_id", "version_number", "status"}
    assert version["status"] == "ready"
    drawn = crewship("invoke", "--input", '{"topic": "AI agents"}', "--stream", cwd=project).stdout
    plain = re.sub(r"\[\d\d:\d\d:\d\d\]", "[10:30:01]", re.sub(r"run_\w+", "run_abc123", drawn))
    assert re.sub(r"in [\d.]+s", "in 45.2s", plain).splitlines() == [
        "▶ Run started: run_abc123",
        "├─ [10:30:01] Starting crew execution",
        "├─ [10:30:01] researcher agent starting task",
        "├─ [10:30:01] researcher agent completed task",
        "├─ [10:30:01] tools agent starting task",
        '├─ [10:30:01] Tool: web_search("AI agents 2024")',
        "├─ [10:30:01] tools agent completed task",
        "├─ [10:30:01] researcher agent starting task",
        "├─ [10:30:01] researcher agent completed task",
        "├─ [10:30:01] writer agent starting task",
        "├─ [10:30:01] writer agent completed task",
        "├─ [10:30:01] Artifact: report.md",
        "✅ Run completed in 45.2s",
    ]
    run_id = re.search(r"run_\w+", drawn)[0]  # type: ignore[index]
    events = [json.loads(line) for line in crewship("runs", "events", run_id, "--json").stdout.splitlines()]
    tokens = "".join(event["text"] for event in events if event["type"] == "token")
    assert tokens == "Agents need a home.", "\n".join(map(str, events))
    report = crewship("runs", "download", run_id, "report.md", "-o", "-").stdout
    assert report == "# AI agents\n\nAgents need a home.\n"
    output = json.loads(crewship("invoke", "-i", '{"topic": "x"}', cwd=project).stdout)
    assert output["report"] == "# x\n\nAgents need a home.\n"
    assert output["messages"][-1]["content"] == "Agents need a home."


def test_a_crew_runs_as_it_is_and_remembers_its_conversation(crewship: Crewship, openai: str, tmp_path: Path):
    project = tmp_path / "work" / "research-crew-ai"
    shutil.copytree(HERE / "crew", project)
    crewship("init", cwd=project)
    assert 'entrypoint = "research_crew.crew:ResearchCrew"' in (project / "crewship.toml").read_text()
    with open(project / "crewship.toml", "a") as manifest:
        manifest.write('\n[chat]\ninput_key = "topic"\n')
    model = ["OPENAI_API_KEY=sk-of-the-tests", f"OPENAI_BASE_URL={openai}", "OPENAI_MODEL_NAME=gpt-4o-mini"]
    crewship("env", "set", *model, cwd=project)
    crewship("deploy", cwd=project)
    first, second = crewship("chat", "--json", cwd=project, stdin="isolation\nwalls\n").stdout.splitlines()
    run_id, output = json.loads(second)["id"], json.loads(first)["output"]
    assert (output["raw"], output["json"], len(output["tasks_output"])) == ("Agents need a home.", None, 2)
    events = [json.loads(line) for line in crewship("runs", "events", run_id, "--json").stdout.splitlines()]
    shown = [(event["type"], event.get("agent") or event.get("tool") or event.get("name")) for event in events]
    assert [one for one in shown if one[1]] == [
        ("agent.started", "walls Researcher"),
        ("tool.called", "web_search"),
        ("tool.result", "web_search"),
        ("agent.completed", "walls Researcher"),
        ("agent.started", "Writer"),
        ("agent.completed", "Writer"),
        ("artifact", "report.md"),
    ]
    thread_id = json.loads(crewship("runs", "get", run_id, "--json").stdout)["thread_id"]
    values = json.loads(crewship("thread", "get", thread_id, "--json").stdout)["values"]
    assert values["topic"] == "walls"
    answer = {"role": "assistant", "content": "Agents need a home."}
    asked = [{"role": "user", "content": topic} for topic in ("isolation", "walls")]
    assert values["messages"] == [asked[0], answer, asked[1], answer]


def test_a_graph_that_raises_shows_its_stack_trace(crewship: Crewship, tmp_path: Path):
    project = tmp_path / "work" / "raises"
    crewship("init", "--template", "langgraph", str(project))
    graph = (project / "graph.py").read_text().replace('    topic = state.get("topic")', '    raise OSError("no luck")')
    (project / "graph.py").write_text(graph)
    crewship("deploy", cwd=project)
    failed = crewship("invoke", "--input", "{}", "--stream", code=1, cwd=project)
    assert "❌ Run failed: OSError: no luck" in failed.stdout
    assert 'raise OSError("no luck")' in failed.stdout
    listed = json.loads(crewship("runs", "list", "--status", "failed", "--limit", "1", "--json").stdout)
    assert listed["runs"][0]["error_message"] == "OSError: no luck"


def test_what_cannot_be_imported_is_said(crewship: Crewship, tmp_path: Path):
    project = tmp_path / "work" / "imports"
    crewship("init", "--template", "langgraph", str(project))
    (project / "graph.py").write_text("import nowhere_to_be_found\n" + (project / "graph.py").read_text())
    crewship("deploy", cwd=project)
    failed = crewship("invoke", "--input", "{}", code=1, cwd=project)
    assert "No module named 'nowhere_to_be_found'" in failed.stderr


def test_a_second_deploy_with_the_same_dependencies_reuses_them_and_can_be_rolled_back(
    crewship: Crewship, tmp_path: Path
):
    project = tmp_path / "work" / "twice"
    crewship("init", "--template", "langgraph", str(project))
    crewship("deploy", cwd=project)
    (project / "notes.txt").write_text("new")
    again = crewship("deploy", cwd=project)
    assert "reused" in again.stdout + again.stderr
    crewship("deploy", "--rollback", "1", cwd=project)
    versions = json.loads(crewship("versions", "list", "--json", cwd=project).stdout)["versions"]
    live = [(version["version_number"], version["environments"]) for version in versions]
    assert live == [(2, []), (1, ["production"])]
    refused = crewship("deploy", "--rollback", "1", code=1, cwd=project)
    assert refused.stderr.startswith("error: Version 1 is already live")


def test_keys_come_and_go(crewship: Crewship):
    made = json.loads(crewship("keys", "create", "ci", "--scope", "deploy", "--json").stdout)
    assert made["key"].startswith("csk_")
    listed = crewship("keys", "list").stdout
    assert made["id"] in listed
    assert made["key"] not in listed
    crewship("keys", "revoke", made["id"])
    assert made["id"] not in crewship("keys", "list").stdout


def test_mistakes_are_one_line_that_helps(crewship: Crewship, tmp_path: Path):
    assert "crewship.toml" in crewship("deploy", code=2).stderr
    assert "not found" in crewship("runs", "get", "run_000000000000", code=1).stderr
    assert crewship("invoke", "probe", "--input", "[1]", code=2).stderr.count("\n") == 1
    (tmp_path / "work" / "crewship.toml").write_text('[deployment]\nframework = "langgraf"\nentrypoint = "a:b"\n')
    assert "line 2" in crewship("deploy", code=2).stderr


def test_a_conversation_in_the_terminal(crewship: Crewship, tmp_path: Path):
    project = tmp_path / "work" / "talker"
    project.mkdir()
    for name, text in projects.CHAT.items():
        (project / name).write_text(text)
    crewship("deploy", cwd=project)
    talked = crewship("chat", cwd=project, stdin="hello\ndelete it\nyes\n")
    assert talked.stdout.splitlines() == [
        "1: hello … hello",
        '? {"question": "Really?"}',
        "answered yes",
    ]
    thread_id = re.search(r"thr_\w+", talked.stderr)[0]  # type: ignore[index]
    again = crewship("chat", "--thread", thread_id, cwd=project, stdin="more\n")
    assert again.stdout.splitlines()[-1] == "3: hello … more"
    told = json.loads(crewship("chat", "--thread", thread_id, "--json", cwd=project, stdin="for machines\n").stdout)
    assert (told["status"], told["interrupts"]) == ("succeeded", None)
    history = crewship("thread", "history", thread_id, "--offset", "1").stdout.splitlines()
    assert history[0].startswith("● ")
    assert "  + messages: human: more" in history
    assert json.loads(crewship("thread", "get", thread_id, "--json").stdout)["status"] == "idle"
    assert thread_id in crewship("thread", "list", "talker").stdout
    copied = crewship("thread", "copy", thread_id).stdout.strip()
    crewship("thread", "delete", copied, "--yes")
    crewship("thread", "get", copied, code=1)
    output = crewship("invoke", "--thread", thread_id, "-i", '{"message": "last"}').stdout
    assert json.loads(output)["messages"][-1]["content"] == "5: hello … last"
