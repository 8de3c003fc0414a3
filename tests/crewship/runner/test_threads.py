"""Real graphs in a thread: what one process reports is all that the next one knows."""

import base64

import pytest

from crewship.engine.protocol import (
    AgentStarted,
    Checkpoint,
    Failure,
    Interrupted,
    Log,
    Result,
    Writes,
)
from tests.crewship.runner.talk import Thread


@pytest.fixture
def thread(guards, langgraph_python):
    return Thread(guards, langgraph_python)


CHAT = """
    from langchain_core.messages import AIMessage
    def answer(state):
        return {"messages": [AIMessage(f"{len(state['messages'])} so far")]}
    graph = chain(("answer", answer), state=MessagesState).compile()
"""


def user(text):
    return {"messages": [{"role": "user", "content": text}]}


def said(result):
    return [message["content"] for message in result.output["messages"]]


def test_the_second_run_of_a_chat_sees_the_first_message(thread):
    thread.code = CHAT
    assert said(thread.run(input=user("hello"))) == ["hello", "1 so far"]
    first = thread.told(Checkpoint)
    assert [(told.step, told.source) for told in first] == [(-1, "input"), (0, "loop"), (1, "loop")]
    assert [told.parent_id for told in first] == [None, *(told.checkpoint_id for told in first[:-1])]
    assert first[-1].values["messages"][1]["content"] == "1 so far"
    assert first[0].values == {}
    assert said(thread.run(input=user("again"))) == ["hello", "1 so far", "again", "3 so far"]
    assert thread.told(Checkpoint)[0].parent_id == first[-1].checkpoint_id
    assert thread.told(Checkpoint)[-1].values == thread.messages[-1].output


def test_a_reducer_goes_on_and_unchanged_channels_are_not_sent_again(thread):
    thread.code = "graph = chain(('add', lambda state: {'seen': ['node']}), ('more', lambda state: {})).compile()"
    assert thread.run(input={"x": "X" * 1000, "seen": ["a"]}) == Result({"x": "X" * 1000, "seen": ["a", "node"]})
    assert [name for told in thread.told(Checkpoint) for name in told.channels].count("x") == 1
    assert all("x" in told.versions for told in thread.told(Checkpoint)[1:])
    assert thread.run(input={"seen": ["b"]}) == Result({"x": "X" * 1000, "seen": ["a", "node", "b", "node"]})
    assert [name for told in thread.told(Checkpoint) for name in told.channels].count("x") == 0
    assert thread.values["x"] == "X" * 1000


def test_values_of_a_thread_without_a_graph_lie_below_the_input(thread):
    thread.code = "graph = chain(('one', lambda state: {'seen': ['node']})).compile()"
    thread.values = {"x": 1, "seen": ["set"]}
    assert thread.run(input={"x": 2}) == Result({"x": 2, "seen": ["set", "node"]})
    assert thread.run(input={"seen": ["b"]}).output["seen"] == ["set", "node", "b", "node"]


def test_an_interrupt_is_answered_by_another_process(thread):
    thread.code = """
        def ask(state):
            answer = interrupt({"question": "sure?"})
            return {"x": answer, "seen": [interrupt("really?")]}
        graph = chain(("before", lambda state: {"seen": ["before"]}), ("ask", ask)).compile()
    """
    result = thread.run(input={"x": 0})
    assert result == Result({"x": 0, "seen": ["before"]})
    (first,) = thread.asked()
    assert first.value == {"question": "sure?"}
    result = thread.run(resume={"value": "yes"})
    assert result == Result({"x": 0, "seen": ["before"]})
    assert [asked.value for asked in thread.asked()] == ["really?"]
    assert not thread.told(Checkpoint)  # a task of the same super-step goes on: its writes are all that is new
    result = thread.run(resume={"value": None})
    assert result == Result({"x": "yes", "seen": ["before", None]})
    assert not thread.told(Interrupted)
    assert [told.agent for told in thread.told(AgentStarted)] == ["ask"]


def test_an_interrupt_in_a_subgraph_goes_on_inside_of_it(thread):
    thread.code = """
        def first(state):
            print("first")
            return {"seen": ["first"]}
        inner = chain(("first", first), ("ask", lambda state: {"x": interrupt("inner?")})).compile()
        graph = chain(("sub", inner), ("after", lambda state: {"seen": ["after"]})).compile()
    """
    thread.run(input={"x": 0, "seen": []})
    assert [asked.value for asked in thread.asked()] == ["inner?"]
    nested = [told for told in thread.told(Checkpoint) if told.ns]
    assert nested
    assert all(told.ns.startswith("sub:") and told.values is None for told in nested)
    assert thread.run(resume={"value": 7}) == Result({"x": 7, "seen": ["first", "after"]})
    assert not [log for log in thread.told(Log) if log.message == "first"]


def test_two_interrupts_are_answered_by_their_ids(thread):
    thread.code = """
        def asker(name):
            return name, lambda state: {"seen": [f"{name}: {interrupt(name)}"]}
        graph = parallel(asker("a"), asker("b")).compile()
    """
    thread.run(input={"x": 0})
    asked = {each.value: each.id for each in thread.asked()}
    assert asked.keys() == {"a", "b"}
    thread.run(resume={"value": {asked["b"]: "two"}})
    assert [each.value for each in thread.asked()] == ["a"]
    assert thread.asked()[0].id == asked["a"]
    assert thread.run(resume={"value": {asked["a"]: "one"}}).output["seen"] == ["a: one", "b: two"]


def test_a_plain_input_drops_the_question(thread):
    thread.code = "graph = chain(('ask', lambda state: {'seen': [interrupt(state['x'])]})).compile()"
    thread.run(input={"x": 1})
    thread.run(input={"x": 2})
    assert [each.value for each in thread.asked()] == [2]
    assert thread.run(resume={"value": "fine"}) == Result({"x": 2, "seen": ["fine"]})


def test_a_breakpoint_asks_nothing_and_goes_on(thread):
    thread.code = "graph = chain(('one', lambda state: {'x': 1})).compile(interrupt_before=['one'])"
    assert thread.run(input={"x": 0}) == Result({"x": 0, "seen": []})
    assert thread.asked() == []
    assert thread.run(resume={"value": None}) == Result({"x": 1, "seen": []})


def test_a_checkpointer_of_the_projects_own_gives_way_in_a_thread_alone(thread):
    thread.code = """
        saver = MemorySaver()
        graph = chain(("work", lambda state: {"seen": [len(saver.storage)]})).compile(checkpointer=saver)
    """
    assert thread.run(input={"x": 1}) == Result({"x": 1, "seen": [0]})
    assert thread.run(input={"x": 2}) == Result({"x": 2, "seen": [0, 0]})
    assert thread.run(input={"x": 1}, thread_id=None, thread=None) == Result({"x": 1, "seen": [1]})
    assert thread.told(Checkpoint, Writes) == []


def test_the_state_is_updated_through_the_graphs_reducers(thread):
    thread.code = """
        nodes = ("one", lambda state: {"seen": ["one"]}), ("two", lambda state: {"seen": ["two"]})
        graph = chain(*nodes).compile()
    """
    thread.run(input={"x": 1, "seen": []})
    assert thread.update({"seen": ["by hand"]}) == Result({"x": 1, "seen": ["one", "two", "by hand"]})
    (told,) = thread.told(Checkpoint)
    assert (told.source, told.values) == ("update", thread.messages[-1].output)
    assert thread.update({"x": 5}, as_node="one") == Result({"x": 5, "seen": ["one", "two", "by hand"]})
    assert not thread.told(AgentStarted)
    assert thread.run(input=None).output["seen"] == ["one", "two", "by hand", "two"]


def test_going_back_puts_the_old_checkpoint_again(thread):
    thread.code = "graph = chain(('one', lambda state: {'seen': [state['x']]})).compile()"
    thread.run(input={"x": 1, "seen": []})
    old = thread.head
    thread.run(input={"x": 2})
    newest, thread.head = thread.head, old
    assert thread.update(None, checkpoint_id=old) == Result({"x": 1, "seen": [1]})
    (told,) = thread.told(Checkpoint)
    assert told.source == "fork"
    assert told.checkpoint_id > newest
    assert told.values == {"x": 1, "seen": [1]}
    assert thread.run(input={"x": 3}) == Result({"x": 3, "seen": [1, 3]})


def test_an_update_that_the_graph_refuses_is_an_error(thread):
    thread.code = """
        def strict(old, new):
            if new == ["bad"]:
                raise ValueError("no such luck")
            return old + new
        class Strict(TypedDict):
            seen: Annotated[list, strict]
        graph = chain(("one", lambda state: {"seen": ["one"]}), state=Strict).compile()
    """
    thread.run(input={"seen": []})
    assert "nowhere" in thread.update({"seen": []}, as_node="nowhere", code_of_exit=1).error
    assert thread.update({"seen": ["bad"]}, code_of_exit=1).error == "ValueError: no such luck"
    assert thread.update(None, checkpoint_id="1f0", code_of_exit=1).error == (
        "checkpoint 1f0 of the thread is not available to this run"
    )
    assert thread.told(Checkpoint) == []


def test_super_steps_survive_a_kill(thread):
    thread.code = """
        def wait(state):
            print("up")
            time.sleep(float(os.environ["PAUSE"]))
            return {"seen": ["wait"]}
        graph = chain(("one", lambda state: {"seen": ["one"]}), ("wait", wait)).compile()
    """
    guard = thread.start(input={"x": 1, "seen": []}, env={"PAUSE": "1000"})
    guard.said("up")
    assert guard.messages(Checkpoint)[-1].values == {"x": 1, "seen": ["one"]}
    guard.tell("kill")
    guard.end()
    thread.hear(guard)
    assert thread.run(input=None, env={"PAUSE": "0"}) == Result({"x": 1, "seen": ["one", "wait"]})
    assert [told.agent for told in thread.told(AgentStarted)] == ["wait"]


def test_state_that_is_no_json_comes_back_as_it_was(thread):
    thread.code = """
        from datetime import datetime, timezone
        from pydantic import BaseModel
        class Report(BaseModel):
            title: str
            at: datetime
        def work(state):
            if "x" in state:
                report, numbers = state["x"]
                assert type(report) is Report and type(numbers) is set
                return {"seen": [report.title]}
            return {"x": [Report(title="T", at=datetime(2026, 1, 1, tzinfo=timezone.utc)), {1, 2}]}
        graph = chain(("work", work)).compile()
    """
    thread.run(input={"seen": []})
    assert thread.values == {"x": [{"title": "T", "at": "2026-01-01T00:00:00+00:00"}, [1, 2]], "seen": []}
    assert thread.run(input={"seen": ["again"]}).output["seen"] == ["again", "T"]


def test_what_cannot_be_kept_fails_the_run_and_is_named(thread):
    thread.code = "import threading\ngraph = chain(('one', lambda state: {'x': threading.Lock()})).compile()"
    assert "the thread cannot keep 'x' of the graph's state" in thread.run(1, input={"seen": []}).error


def test_a_state_that_is_too_large_fails_the_run(thread):
    thread.code = "graph = chain(('one', lambda state: {'x': 'x' * (20 << 20)})).compile()"
    assert thread.run(1, input={"seen": []}).error.startswith("the thread's state is too large: ")


def test_a_state_that_cannot_be_read_says_so(thread):
    thread.code = CHAT
    thread.run(input=user("hello"))
    thread.saved["", thread.head]["data"] = base64.b64encode(b"something else").decode()
    failed = thread.run(1, input=user("hello"))
    assert failed.error.startswith("the thread's state cannot be read by this version")
    assert failed.unusable
    thread.head = None
    assert thread.run(1, thread={"head": "1f0", "checkpoints": []}).error.endswith("its checkpoint 1f0 is missing")


def test_channels_that_keep_differences_are_whole_in_each_checkpoint(thread):
    thread.code = """
        from langgraph.channels.delta import DeltaChannel
        def join(old, writes):
            return old + [item for write in writes for item in write]
        class Deltas(TypedDict):
            seen: Annotated[list, DeltaChannel(join)]
        graph = chain(("one", lambda state: {"seen": [len(state["seen"])]}), state=Deltas).compile()
    """
    for turn in range(3):
        thread.run(input={"seen": ["in"]})
        assert thread.values == {"seen": [item for at in range(turn + 1) for item in ("in", 2 * at + 1)]}
    assert thread.update({"seen": ["by hand"]}).output["seen"][-1] == "by hand"
    assert len(thread.run(input={"seen": ["in"]}).output["seen"]) == 9


def test_the_functional_api_remembers(thread):
    thread.code = """
        from langgraph.func import entrypoint
        @entrypoint(checkpointer=MemorySaver())
        def graph(word, *, previous=None):
            words = [*(previous or []), word["x"]]
            return entrypoint.final(value=words, save=words)
    """
    assert thread.run(input={"x": 1}) == Result([1])
    assert thread.run(input={"x": 2}) == Result([1, 2])


def test_another_graph_with_a_thread_of_its_own_is_not_told(thread):
    thread.code = """
        own = chain(("inner", lambda state: {"seen": ["inner"]})).compile(checkpointer=MemorySaver())
        def call(state):
            return {"x": own.invoke({"x": 1, "seen": []}, {"configurable": {"thread_id": "other"}})["seen"]}
        graph = chain(("call", call)).compile()
    """
    assert thread.run(input={"seen": []}) == Result({"x": ["inner"], "seen": []})
    assert {told.ns for told in thread.told(Checkpoint)} == {""}


@pytest.mark.parametrize("value", ["yes", "by id"])
def test_an_old_langgraph_goes_on_in_a_thread(guards, old_langgraph_python, value):
    thread = Thread(guards, old_langgraph_python)
    thread.code = "graph = chain(('ask', lambda state: {'seen': [interrupt('sure?')]})).compile()"
    thread.run(input={"x": 1, "seen": ["in"]})
    (asked,) = thread.asked()
    assert asked.value == "sure?"
    assert thread.run(1, resume={"value": None}).error == "this release of LangGraph cannot be answered with null"
    answer = {asked.id: value} if value == "by id" else value
    assert thread.run(resume={"value": answer}) == Result({"x": 1, "seen": ["in", value]})
    assert thread.run(input={"x": 2}) == Result({"x": 2, "seen": ["in", value]})
    thread.run(resume={"value": "no"})
    assert thread.update({"seen": ["hand"]}).output["seen"] == ["in", value, "no", "hand"]
    assert thread.update(None, checkpoint_id=thread.head).output["seen"] == ["in", value, "no", "hand"]


def test_a_failed_run_leaves_its_super_steps_and_no_result(thread):
    thread.code = """
        def fail(state):
            raise ValueError("no such luck")
        graph = chain(("one", lambda state: {"seen": ["one"]}), ("fail", fail)).compile()
    """
    assert isinstance(thread.run(1, input={"seen": []}), Failure)
    assert thread.told(Checkpoint)[-1].values == {"seen": ["one"]}
