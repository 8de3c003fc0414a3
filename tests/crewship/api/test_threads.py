"""Threads over HTTP, with a real LangGraph conversation."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import projects
from tests.server import Api, ServerProcess


class Talk:
    """A thread, and what tests say in it."""

    def __init__(self, api: Api, thread_id: str) -> None:
        self.api = api
        self.client = api.client
        self.id = thread_id
        self.url = f"/v1/threads/{thread_id}"

    def get(self) -> Any:
        return self.client.get(self.url).json()

    def post(self, message: str | None = None, **more: Any) -> Any:
        body = {**({"input": {"message": message}} if message is not None else {}), **more}
        return self.client.post(f"{self.url}/runs", json=body)

    def say(self, message: str | None = None, **more: Any) -> Any:
        answer = self.post(message, **more)
        assert answer.status_code == 202, answer.text
        return self.api.wait(answer.json()["run_id"])

    def said(self) -> list[str]:
        return [message["content"] for message in self.get()["values"].get("messages", [])]

    def history(self, query: str = "") -> list[Any]:
        return self.client.get(f"{self.url}/history{query}").json()["checkpoints"]


@pytest.fixture(scope="module")
def chat(api: Api) -> Api:
    assert api.deploy("chat", projects.CHAT)["status"] == "ready"
    return api


@pytest.fixture
def talk(chat: Api) -> Talk:
    made = chat.client.post("/v1/threads", json={"deployment_id": "chat", "metadata": {"user": "ada"}})
    assert made.status_code == 201
    thread = made.json()
    assert (thread["status"], thread["values"], thread["metadata"]) == ("idle", {}, {"user": "ada"})
    return Talk(chat, thread["thread_id"])


def test_the_follow_up_sees_the_first_message(talk: Talk):
    first = talk.say("AI agents")
    assert (first["status"], first["thread_id"]) == ("succeeded", talk.id)
    talk.say("diagnostics")
    assert talk.said() == ["AI agents", "1: AI agents … AI agents", "diagnostics", "2: AI agents … diagnostics"]
    assert talk.get()["status"] == "idle"
    assert talk.get()["last_run"]["succeeded"] is True


def test_history_has_one_checkpoint_a_run_newest_first(talk: Talk):
    runs = [talk.say("one"), talk.say("two")]
    history = talk.history()
    assert [checkpoint["run_id"] for checkpoint in history] == [runs[1]["id"], runs[0]["id"]]
    assert history[0]["parent_id"] == history[1]["checkpoint_id"]
    assert len(history[0]["values"]["messages"]) == 4
    assert len(history[1]["values"]["messages"]) == 2
    steps = talk.history("?steps=true")
    assert len(steps) > 4
    assert {checkpoint["checkpoint_id"] for checkpoint in history} <= {step["checkpoint_id"] for step in steps}


def test_a_second_run_while_busy_is_refused_and_names_the_first(talk: Talk):
    first = talk.post("sleep 30").json()["run_id"]
    second = talk.post("hello")
    assert second.status_code == 409
    assert second.json()["error"]["running_run_id"] == first
    assert talk.get()["status"] == "busy"
    assert talk.client.post(f"{talk.url}/state", json={"values": {"topic": "x"}}).status_code == 409
    assert talk.client.delete(talk.url).status_code == 409
    talk.client.post(f"/v1/runs/{first}/cancel")
    assert talk.get()["status"] == "idle"


def test_of_two_posts_in_the_same_instant_one_is_taken(talk: Talk, chat: Api):
    for _ in range(5):
        made = chat.client.post("/v1/threads", json={"deployment_id": "chat"}).json()
        other = Talk(chat, made["thread_id"])
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _, other=other: other.post("sleep 20"), range(2)))
        assert sorted(answer.status_code for answer in answers) == [202, 409]
        run_id = next(answer.json()["run_id"] for answer in answers if answer.status_code == 202)
        chat.client.post(f"/v1/runs/{run_id}/cancel")


def test_runs_that_wait_go_oldest_first(talk: Talk):
    first = talk.post("sleep 1").json()["run_id"]
    second = talk.post("second", on_busy="enqueue").json()["run_id"]
    third = talk.post("third", on_busy="enqueue").json()["run_id"]
    for run_id in (first, second, third):
        assert talk.api.wait(run_id)["status"] == "succeeded"
    assert talk.said()[::2] == ["sleep 1", "second", "third"]
    assert talk.get()["status"] == "idle"


def test_a_run_that_waits_can_be_canceled(talk: Talk):
    first = talk.post("sleep 30").json()["run_id"]
    second = talk.post("second", on_busy="enqueue").json()["run_id"]
    assert talk.client.post(f"/v1/runs/{second}/cancel").json()["status"] == "canceled"
    assert talk.get()["running_run_id"] == first
    assert talk.client.post(f"/v1/runs/{first}/cancel").json()["status"] == "canceled"
    assert talk.get()["status"] == "idle"


def test_a_run_that_cancels_goes_next(talk: Talk):
    first = talk.post("sleep 60").json()["run_id"]
    talk.api.until(first, "running")
    second = talk.post("now", on_busy="cancel").json()["run_id"]
    assert talk.api.wait(second)["status"] == "succeeded"
    assert talk.api.wait(first)["status"] == "canceled"
    assert talk.said()[0] == "now"


def test_a_failed_run_leaves_the_last_good_state(talk: Talk):
    talk.say("good")
    failed = talk.say("fail please")
    assert failed["status"] == "failed"
    thread = talk.get()
    assert (thread["status"], thread["last_run"]) == ("idle", {"run_id": failed["id"], "succeeded": False})
    assert talk.said() == ["good", "1: good … good"]
    talk.say("again")
    assert talk.said()[-1] == "2: good … again"
    steps = talk.history("?steps=true")
    assert failed["id"] in {step["run_id"] for step in steps}


def test_an_interrupt_is_asked_and_answered(talk: Talk):
    run = talk.say("delete it")
    assert run["status"] == "succeeded"
    thread = talk.get()
    assert thread["status"] == "interrupted"
    assert [interrupt["value"] for interrupt in thread["interrupts"]] == [{"question": "Really?"}]
    kinds = [event["event"] for event in talk.api.events(f"/v1/runs/{run['id']}/events")]
    assert kinds[-2:] == ["run.interrupted", "run.completed"]
    assert talk.post("x", resume="yes").status_code == 400
    answered = talk.say(resume="yes")
    assert answered["status"] == "succeeded"
    assert talk.said()[-1] == "answered yes"
    assert (talk.get()["status"], talk.get()["interrupts"]) == ("idle", None)
    assert talk.post(resume="yes").status_code == 400


def test_an_interrupt_outside_of_a_thread_fails_and_says_what_it_needs(chat: Api):
    answer = chat.client.post("/v1/runs", json={"deployment_id": "chat", "input": {"message": "delete"}})
    run = chat.wait(answer.json()["run_id"])
    assert run["status"] == "failed"
    assert "thread" in run["error_message"]


def test_an_edit_follows_the_graphs_own_rules_and_rewrites_nothing(talk: Talk):
    talk.say("one")
    before = talk.history()
    edit = {"values": {"topic": "tea", "messages": [{"role": "user", "content": "added"}]}}
    answer = talk.client.post(f"{talk.url}/state", json=edit)
    assert answer.status_code == 200, answer.text
    assert answer.json()["source"] == "edit"
    values = talk.get()["values"]
    assert values["topic"] == "tea"
    assert [message["content"] for message in values["messages"]] == ["one", "1: one … one", "added"]
    assert talk.history()[1:] == before
    wrong = talk.client.post(f"{talk.url}/state", json={"values": {"topic": "x"}, "as_node": "nobody"})
    assert wrong.status_code == 400
    assert "nobody" in wrong.json()["error"]["message"]
    assert talk.get()["values"] == values
    assert [run["thread_id"] for run in talk.client.get(f"/v1/runs?thread_id={talk.id}").json()["runs"]] == [talk.id]


def test_going_back_is_a_new_checkpoint(talk: Talk):
    talk.say("one")
    talk.say("two")
    history = talk.history()
    answer = talk.client.post(f"{talk.url}/state", json={"checkpoint_id": history[1]["checkpoint_id"]})
    assert answer.status_code == 200, answer.text
    assert talk.said() == ["one", "1: one … one"]
    assert talk.history()[1:] == history
    talk.say("three")
    assert talk.said()[-1] == "2: one … three"
    assert talk.client.post(f"{talk.url}/state", json={"checkpoint_id": "nothing"}).status_code == 404


def test_a_copy_has_the_same_history_and_goes_its_own_way(talk: Talk):
    talk.say("one")
    talk.say("two")
    history = talk.history()
    made = talk.client.post(f"{talk.url}/copy", json={})
    assert made.status_code == 201
    copied = Talk(talk.api, made.json()["thread_id"])
    assert copied.history() == history
    assert copied.get()["metadata"] == {"user": "ada"}
    copied.say("three")
    assert copied.said()[-1] == "3: one … three"
    assert len(talk.said()) == 4
    branch = talk.client.post(f"{talk.url}/copy", json={"checkpoint_id": history[1]["checkpoint_id"]})
    branched = Talk(talk.api, branch.json()["thread_id"])
    assert branched.said() == ["one", "1: one … one"]
    branched.say("other")
    assert branched.said()[-1] == "2: one … other"


def test_values_at_the_beginning_are_under_the_input(chat: Api):
    made = chat.client.post("/v1/threads", json={"deployment_id": "chat", "values": {"topic": "tea"}}).json()
    talk = Talk(chat, made["thread_id"])
    assert talk.get()["values"] == {"topic": "tea"}
    edited = talk.client.post(f"{talk.url}/state", json={"values": {"mood": "good"}})
    assert edited.json()["values"] == {"topic": "tea", "mood": "good"}
    talk.say("hello")
    assert talk.get()["values"]["topic"] == "tea"


def test_two_questions_in_one_step_are_answered_one_by_one(api: Api):
    asking = """
def reply(state: State) -> State:
    \"\"\"Ask twice.\"\"\"
    first = interrupt("first?")
    second = interrupt("second?")
    return {"messages": [AIMessage(f"{first} and {second}")]}


builder = StateGraph(State)"""
    graph = projects.CHAT_GRAPH.replace("\nbuilder = StateGraph(State)", asking)
    assert api.deploy("asking", {**projects.CHAT, "graph.py": graph})["status"] == "ready"
    talk = Talk(api, api.client.post("/v1/threads", json={"deployment_id": "asking"}).json()["thread_id"])
    talk.say("go")
    assert [interrupt["value"] for interrupt in talk.get()["interrupts"]] == ["first?"]
    talk.say(resume="one")
    assert talk.get()["status"] == "interrupted"
    assert [interrupt["value"] for interrupt in talk.get()["interrupts"]] == ["second?"]
    talk.say(resume="two")
    assert talk.said()[-1] == "one and two"


def test_an_answer_to_a_run_that_failed_is_asked_for_again(api: Api):
    fragile = """
def reply(state: State) -> State:
    \"\"\"Ask, and fail on a bad answer.\"\"\"
    answer = interrupt("what?")
    if answer == "bad":
        raise RuntimeError("bad answer")
    return {"messages": [AIMessage(f"got {answer}")]}


builder = StateGraph(State)"""
    graph = projects.CHAT_GRAPH.replace("\nbuilder = StateGraph(State)", fragile)
    assert api.deploy("fragile", {**projects.CHAT, "graph.py": graph})["status"] == "ready"
    talk = Talk(api, api.client.post("/v1/threads", json={"deployment_id": "fragile"}).json()["thread_id"])
    talk.say("go")
    assert talk.say(resume="bad")["status"] == "failed"
    assert talk.get()["status"] == "interrupted"
    assert talk.say(resume="good")["status"] == "succeeded"
    assert talk.said()[-1] == "got good"


def test_going_back_to_what_was_set_by_hand(chat: Api):
    made = chat.client.post("/v1/threads", json={"deployment_id": "chat", "values": {"topic": "tea"}}).json()
    talk = Talk(chat, made["thread_id"])
    (first,) = talk.history()
    talk.say("hello")
    back = talk.client.post(f"{talk.url}/state", json={"checkpoint_id": first["checkpoint_id"]})
    assert (back.status_code, back.json()["values"]) == (200, {"topic": "tea"})
    talk.say("fresh")
    assert talk.said()[-1] == "1: fresh … fresh"


def test_a_new_version_goes_on_with_the_old_state(api: Api):
    api.deploy("moving", projects.CHAT)
    talk = Talk(api, api.client.post("/v1/threads", json={"deployment_id": "moving"}).json()["thread_id"])
    talk.say("one")
    graph = projects.CHAT_GRAPH.replace("{len(heard)}:", "version 2, {len(heard)}:")
    api.deploy("moving", {**projects.CHAT, "graph.py": graph})
    talk.say("two")
    assert talk.said()[-1] == "version 2, 2: one … two"


def test_threads_are_listed_filtered_patched_and_deleted(talk: Talk):
    url = "/v1/threads?deployment_id=chat"
    assert talk.client.get(f"{url}&limit=1").json()["threads"][0]["thread_id"] == talk.id
    assert talk.client.get(f"{url}&status=busy&limit=1").json() == {"threads": []}
    assert talk.client.get("/v1/threads").json()["error"]["message"] == "deployment_id is required"
    patched = talk.client.patch(talk.url, json={"metadata": {"user": "bob"}})
    assert patched.json()["metadata"] == {"user": "bob"}
    assert talk.client.delete(talk.url).status_code == 204
    for path in ("", "/history"):
        assert talk.client.get(f"{talk.url}{path}").status_code == 404
    assert talk.post("x").status_code == 404


def test_large_states_are_kept_beside_the_log(talk: Talk):
    run = talk.say("x" * 400_000)
    assert run["status"] == "succeeded"
    assert len(talk.said()[0]) == 400_000
    cut = talk.history()[0]["values"]["$truncated"]
    assert cut["size"] > 400_000
    whole = talk.client.get(f"{talk.url}/state").json()
    assert len(whole["values"]["messages"][0]["content"]) == 400_000
    assert talk.client.get(f"{talk.url}/state?checkpoint_id={whole['checkpoint_id']}").json() == whole
    assert talk.client.get(f"{talk.url}/state?checkpoint_id=x").status_code == 404
    talk.say("short")
    assert talk.said()[2] == "short"


def test_a_thread_survives_the_server(tmp_path: Any):
    server = ServerProcess(tmp_path / "data").start()
    with server.client() as client:
        api = Api(client)
        api.deploy("chat", projects.CHAT)
        thread_id = client.post("/v1/threads", json={"deployment_id": "chat"}).json()["thread_id"]
        talk = Talk(api, thread_id)
        talk.say("one")
        run_id = talk.post("sleep 2").json()["run_id"]
        waiting = talk.post("after", on_busy="enqueue").json()["run_id"]
        api.until(run_id, "running")
    server.kill()
    server.start()
    with server.client() as client:
        talk = Talk(Api(client), thread_id)
        assert talk.api.wait(run_id)["status"] == "succeeded"
        assert talk.api.wait(waiting)["status"] == "succeeded"
        assert talk.said()[::2] == ["one", "sleep 2", "after"]
        asked = talk.say("delete it")
        assert talk.get()["status"] == "interrupted", asked
    server.kill()
    server.start()
    with server.client() as client:
        talk = Talk(Api(client), thread_id)
        talk.say(resume="approved")
        assert talk.said()[-1] == "answered approved"
    server.stop()
