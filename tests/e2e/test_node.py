"""A TypeScript project on LangGraph.js, unmodified, against a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.model import WORDS, model
from tests.server import Api

PROJECT = Path(__file__).parent / "writer"
MANIFEST = '[deployment]\nframework = "langgraph-js"\nentrypoint = "./src/graph.ts:graph"\n'


@pytest.fixture(scope="module")
def writer(api: Api) -> Iterator[str]:
    """The project, deployed, with its model in reach; the deployment's name."""
    files = {str(path.relative_to(PROJECT)): path.read_text() for path in PROJECT.rglob("*") if path.is_file()}
    version = api.deploy("writer", {**files, "crewship.toml": MANIFEST})
    assert version["status"] == "ready", version
    with model() as url:
        variables = {"OPENAI_API_KEY": "sk-of-the-tests", "OPENAI_BASE_URL": url}
        assert api.client.put("/v1/deployments/writer/env", json={"variables": variables}).status_code == 200
        yield "writer"


def start(api: Api, url: str, **body: Any) -> str:
    answer = api.client.post(url, json=body)
    assert answer.status_code == 202, answer.text
    run_id: str = answer.json()["run_id"]
    return run_id


def test_a_typescript_project_streams_its_nodes_tools_and_tokens(api: Api, writer: str):
    run_id = start(api, "/v1/runs", deployment_id=writer, input={"topic": "isolation"})
    events = [event["data"] for event in api.events(f"/v1/runs/{run_id}/events")]
    told = [(event["type"], event.get("agent") or event.get("tool") or event.get("name")) for event in events]
    assert [each for each in told if each[0].startswith(("agent", "tool", "artifact"))] == [
        ("agent.started", "writer"),
        ("agent.completed", "writer"),
        ("agent.started", "tools"),
        ("tool.called", "web_search"),
        ("tool.result", "web_search"),
        ("agent.completed", "tools"),
        ("agent.started", "writer"),
        ("agent.completed", "writer"),
        ("agent.started", "review"),
        ("agent.completed", "review"),
        ("artifact", "report.md"),
    ]
    called = next(event for event in events if event["type"] == "tool.called")
    assert called["input"] == {"query": "AI agents 2024"}
    result = next(event for event in events if event["type"] == "tool.result")
    assert result["output"] == "about AI agents 2024, a note beside the source"
    assert "".join(event["text"] for event in events if event["type"] == "token") == "".join(WORDS)
    assert "approved: true" in [event["message"] for event in events if event["type"] == "log"]
    assert events[-1]["type"] == "run.completed", events[-1]
    report = api.client.get(f"/v1/runs/{run_id}/artifacts/report.md").text
    assert report == f"# isolation\n\n{''.join(WORDS)}\n"


def test_a_thread_in_a_node_asks_is_answered_and_goes_on(api: Api, writer: str):
    thread = api.client.post("/v1/threads", json={"deployment_id": writer}).json()["thread_id"]
    url = f"/v1/threads/{thread}"
    asking = api.wait(start(api, f"{url}/runs", input={"topic": "secrets"}))
    assert asking["status"] == "succeeded", asking
    waiting = api.client.get(url).json()
    assert (waiting["status"], [each["value"] for each in waiting["interrupts"]]) == (
        "interrupted",
        [{"publish": "secrets"}],
    )
    answered = api.wait(start(api, f"{url}/runs", resume=False))
    assert answered["output"]["approved"] is False, answered
    state = api.client.post(f"{url}/state", json={"values": {"topic": "harbours"}, "as_node": "review"})
    assert state.status_code == 200, state.text
    values = api.client.get(url).json()["values"]
    assert (values["topic"], values["approved"]) == ("harbours", False)
    assert [message["type"] for message in values["messages"]][:2] == ["human", "ai"]
    history = api.client.get(f"{url}/history").json()["checkpoints"]
    assert len(history) == 3
