"""How far back a graph reaches from inside a run of its thread."""

from pathlib import Path

import pytest

from tests import projects
from tests.server import Api, ServerProcess

GRAPH = '''\
"""Looks back at its own thread, as any graph can anywhere."""
import operator
import os
import urllib.error
import urllib.request
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    said: Annotated[list, operator.add]
    look: str
    seen: Any


def status(path):
    url, key = os.environ["CREWSHIP_API_URL"] + path, os.environ["CREWSHIP_API_KEY"]
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


async def node(state, config: RunnableConfig):
    me = {"configurable": {"thread_id": config["configurable"]["thread_id"]}}
    look = state.get("look")
    if look == "fail":
        raise RuntimeError("as you wish")
    if look == "history":
        return {"seen": [one.values.get("said") for one in graph.get_state_history(me)]}
    if look == "async":
        return {"seen": [one.values.get("said") async for one in graph.aget_state_history(me, limit=4)]}
    if look == "first":
        states = [one async for one in graph.aget_state_history(me, filter={"source": "input"})]
        first = states[-1].config["configurable"]["checkpoint_id"]
        state = await graph.aget_state({"configurable": {**me["configurable"], "checkpoint_id": first}})
        return {"seen": [state.config["configurable"]["checkpoint_id"] == first, state.values.get("said"), state.next]}
    if look and look.startswith("/"):
        return {"seen": status(look)}
    return {"seen": None}


builder = StateGraph(State)
builder.add_node("node", node)
builder.add_edge(START, "node")
builder.add_edge("node", END)
graph = builder.compile()
'''
FILES = {**projects.PROBE, "graph.py": GRAPH}
CLOSED = {**FILES, "crewship.toml": projects.MANIFEST + 'network = "none"\n'}


@pytest.fixture(scope="module", params=["internet", "none"])
def deployment(api: Api, request: pytest.FixtureRequest) -> str:
    name = f"looks-back-{request.param}"
    assert api.deploy(name, FILES if request.param == "internet" else CLOSED)["status"] == "ready"
    return name


def thread_of(api: Api, deployment: str) -> str:
    return api.client.post("/v1/threads", json={"deployment_id": deployment}).json()["thread_id"]


def run(api: Api, thread_id: str, look: str = "", said: tuple[str, ...] = (), status: str = "succeeded"):
    given = {"input": {"look": look, "said": list(said)}}
    run = api.wait(api.client.post(f"/v1/threads/{thread_id}/runs", json=given).json()["run_id"])
    assert run["status"] == status, run["error_message"]
    return (run["output"] or {}).get("seen")


def test_a_graph_sees_the_whole_history_of_its_thread(api: Api, deployment: str):
    thread_id = thread_of(api, deployment)
    for word in ("one", "two", "three"):
        run(api, thread_id, said=(word,))
    seen = run(api, thread_id, "history", ("four",))
    # Each run puts three checkpoints: its input, the state before its node, the state after it.
    assert [len(said or ()) for said in seen] == [4, 3, 3, 3, 2, 2, 2, 1, 1, 1, 0]
    assert run(api, thread_id, "async", ("five",))[0] == ["one", "two", "three", "four", "five"]
    same, said, following = run(api, thread_id, "first")
    assert (same, said, following) == (True, [], ["__start__"])


def test_the_thread_goes_on_from_its_head_and_not_from_where_somebody_looked(api: Api, deployment: str):
    thread_id = thread_of(api, deployment)
    run(api, thread_id, said=("one",))
    run(api, thread_id, "fail", ("bad",), status="failed")
    run(api, thread_id, "history", ("two",))
    values = api.client.get(f"/v1/threads/{thread_id}").json()["values"]
    assert values["said"] == ["one", "two"]


def test_a_run_s_key_reaches_its_own_thread_and_no_other(api: Api):
    api.deploy("looks-around", FILES)
    mine, other = thread_of(api, "looks-around"), thread_of(api, "looks-around")
    run(api, mine)
    assert run(api, mine, f"/v1/threads/{mine}/checkpoints") == 200
    assert run(api, mine, f"/v1/threads/{other}/checkpoints") == 403
    assert run(api, mine, f"/v1/threads/{mine}/state") == 403
    assert run(api, mine, f"/v1/threads/{mine}") == 403


def test_checkpoints_come_in_pages(api: Api):
    api.deploy("looks-around", FILES)
    thread_id = thread_of(api, "looks-around")
    for word in ("one", "two"):
        run(api, thread_id, said=(word,))
    url = f"/v1/threads/{thread_id}/checkpoints"
    whole = api.client.get(url).json()
    assert [one["ns"] for one in whole["checkpoints"]] == [""] * 6
    assert whole["more"] is False
    paged: list = []
    before = ""
    more = True
    while more:
        page = api.client.get(url + f"?limit=4{before}").json()
        paged += page["checkpoints"]
        more = page["more"]
        before = f"&before={paged[-1]['checkpoint_id']}"
    assert paged == whole["checkpoints"]
    one = whole["checkpoints"][3]
    assert api.client.get(f"{url}?checkpoint_id={one['checkpoint_id']}").json()["checkpoints"] == [one]
    assert api.client.get(f"{url}?ns=sub").json() == {"checkpoints": [], "more": False}
    assert api.client.get("/v1/threads/thr_nothing/checkpoints").status_code == 404


def test_a_thread_whose_bytes_are_gone_is_in_error_until_somebody_goes_back(
    api: Api, server: ServerProcess, tmp_path: Path
):
    api.deploy("loses", FILES)
    thread_id = thread_of(api, "loses")
    run(api, thread_id, said=("one",))
    first = api.client.get(f"/v1/threads/{thread_id}/history").json()["checkpoints"][0]["checkpoint_id"]
    before = set((server.data / "blobs").glob("??/*"))
    run(api, thread_id, said=("a state of its own",))
    fresh = [path for path in (server.data / "blobs").glob("??/*") if path not in before]
    for path in fresh:
        path.rename(tmp_path / path.name)
    run(api, thread_id, said=("more",), status="failed")
    thread = api.client.get(f"/v1/threads/{thread_id}").json()
    assert (thread["status"], thread["last_run"]["succeeded"]) == ("error", False)
    listed = api.client.get("/v1/threads", params={"deployment_id": "loses", "status": "error"}).json()["threads"]
    assert [one["thread_id"] for one in listed] == [thread_id]
    back = api.client.post(f"/v1/threads/{thread_id}/state", json={"checkpoint_id": first})
    assert back.status_code == 200, back.text
    assert api.client.get(f"/v1/threads/{thread_id}").json()["status"] == "idle"
    run(api, thread_id, said=("two",))
    assert api.client.get(f"/v1/threads/{thread_id}").json()["values"]["said"] == ["one", "two"]


def test_a_run_that_merely_fails_leaves_no_error_on_its_thread(api: Api):
    api.deploy("loses", FILES)
    thread_id = thread_of(api, "loses")
    run(api, thread_id, "fail", status="failed")
    assert api.client.get(f"/v1/threads/{thread_id}").json()["status"] == "idle"
