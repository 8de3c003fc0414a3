"""Real graphs, real LangGraph."""

from textwrap import dedent

import pytest

from crewship.engine.protocol import (
    AgentCompleted,
    AgentError,
    AgentStarted,
    Exit,
    Failure,
    Log,
    Result,
    Token,
    ToolCalled,
    ToolError,
    ToolResult,
)

STATE = """
    import asyncio, operator, os, sys
    from typing import Annotated, Any, TypedDict
    from langgraph.graph import END, START, StateGraph, MessagesState
    class State(TypedDict, total=False):
        x: Any
        seen: Annotated[list, operator.add]
    def chain(*nodes, state=State):
        graph = StateGraph(state)
        for name, node in nodes:
            graph.add_node(name, node)
        names = [START, *(name for name, _ in nodes), END]
        for before, after in zip(names, names[1:]):
            graph.add_edge(before, after)
        return graph
"""


@pytest.fixture
def run(guarded, langgraph_python):
    """Run a `graph.py` that begins with `STATE`; gives what its journal says between `ready` and `exit`."""

    def run(code, code_of_exit=0, **changes):
        (guarded.app / "graph.py").write_text(dedent(STATE) + dedent(code))
        exit_line = guarded.run(guarded.spec(**changes), python=langgraph_python)
        assert exit_line == Exit(code=code_of_exit), guarded.messages()
        return guarded.messages()[2:-1]

    return run


def test_nodes_are_agents_in_order_with_what_they_print(run):
    assert run(
        """
        def add(state):
            '''Add one.

            Not more.
            '''
            print("adding", os.environ["WORD"])
            return {"x": state["x"] + 1, "seen": ["add"]}
        async def double(state):
            print("before")
            await asyncio.sleep(0)
            print("after", file=sys.stderr)
            return {"x": state["x"] * 2, "seen": ["double"]}
        graph = chain(("add", add), ("double", double)).compile()
        """,
        input={"x": 1},
        env={"WORD": "up"},
    ) == [
        AgentStarted("add", "Add one."),
        Log("info", "adding up", "stdout"),
        AgentCompleted("add", "Add one.", {"x": 2, "seen": ["add"]}),
        AgentStarted("double", "double"),
        Log("info", "before", "stdout"),
        Log("warning", "after", "stderr"),
        AgentCompleted("double", "double", {"x": 4, "seen": ["double"]}),
        Result({"x": 4, "seen": ["add", "double"]}),
    ]


@pytest.mark.parametrize(
    ("entrypoint", "code"),
    [
        ("graph:builder", "builder = made"),
        ("graph:make", "def make(): return made.compile()"),
        ("graph:make", "async def make(config): return made if config['configurable']['thread_id'] else None"),
        (
            "graph:make",
            "import contextlib\n@contextlib.asynccontextmanager\nasync def make():\n    yield made.compile()\n",
        ),
    ],
)
def test_an_entrypoint_can_be_a_builder_or_a_function(run, entrypoint, code):
    made = "made = chain(('one', lambda state: {'x': 1}))\n"
    assert run(made + code, entrypoint=entrypoint)[-1] == Result({"x": 1, "seen": []})


def test_an_entrypoint_that_is_no_graph_says_so(run):
    assert run("graph = 42", 1)[-1] == Failure(
        "entrypoint: int is neither a graph nor a function that returns one", None
    )


def test_a_node_that_raises_fails_the_run_with_its_trace(run):
    started, error, log, failure = run(
        """
        def work(state):
            print("so far", end="")
            raise ValueError("no such luck")
        graph = chain(("work", work)).compile()
        """,
        1,
    )
    assert error == AgentError("work", "ValueError: no such luck")
    assert started == AgentStarted("work", "work")
    assert log == Log("info", "so far", "stdout")
    assert failure.error == "ValueError: no such luck"
    assert 'graph.py", line' in failure.stack_trace
    assert "crewship_runner" not in failure.stack_trace


def test_tools_are_told_with_their_input_and_content(run):
    messages = run(
        """
        from langchain_core.messages import AIMessage
        from langchain_core.tools import tool
        from langgraph.prebuilt import ToolNode
        @tool
        def search(query: str, limit: int = 3) -> str:
            "Search the web."
            print("searching")
            return f"{limit} pages about {query}"
        @tool
        async def broken(query: str) -> str:
            "Never works."
            raise RuntimeError("out of order")
        def ask(state):
            calls = [{"name": "search", "args": {"query": "AI"}, "id": "1", "type": "tool_call"}]
            return {"messages": [AIMessage(content="", tool_calls=calls)]}
        async def use(state):
            try:
                await broken.ainvoke("this")
            except RuntimeError:
                return {}
        graph = chain(("ask", ask), ("tools", ToolNode([search])), ("use", use), state=MessagesState).compile()
        """,
        input={"messages": [{"role": "user", "content": "hello"}]},
    )
    kinds = (ToolCalled, ToolResult, ToolError)
    called, result, called_too, error = [message for message in messages if isinstance(message, kinds)]
    assert called.tool == "search"
    assert called.input["query"] == "AI"
    assert result == ToolResult("search", "3 pages about AI")
    assert called_too.tool == "broken"
    assert error == ToolError("broken", "RuntimeError: out of order")
    assert messages.index(called) < messages.index(Log("info", "searching", "stdout")) < messages.index(result)
    assert [message["type"] for message in messages[-1].output["messages"]] == ["human", "ai", "tool"]
    assert [message.agent for message in messages if isinstance(message, AgentStarted)] == ["ask", "tools", "use"]


def test_tokens_come_where_the_project_streams_and_only_there(run):
    messages = run(
        """
        from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
        from langchain_core.messages import AIMessage
        def model(text):
            return GenericFakeChatModel(messages=iter([AIMessage(text)]))
        async def streaming(state):
            return {"x": "".join([chunk.content async for chunk in model("all in good time").astream("hi")])}
        async def waiting(state):
            return {"x": (await model("all at once").ainvoke("hi")).content}
        graph = chain(("streaming", streaming), ("waiting", waiting)).compile()
        """
    )
    tokens = [message for message in messages if isinstance(message, Token)]
    assert {token.agent for token in tokens} == {"streaming"}
    assert "".join(token.text for token in tokens) == "all in good time"
    completed = AgentCompleted("streaming", "streaming", {"x": "all in good time"})
    assert messages.index(tokens[-1]) < messages.index(completed)


def test_nodes_of_a_subgraph_are_agents_once(run):
    messages = run(
        """
        def leaf(state):
            "Do the work."
            return {"x": 1}
        inner = chain(("leaf", leaf)).compile()
        def call(state):
            return inner.invoke(state)
        graph = chain(("outer", inner), ("caller", call)).compile()
        """
    )
    told = [
        (type(message), message.agent) for message in messages if isinstance(message, AgentStarted | AgentCompleted)
    ]
    assert told == [
        (AgentStarted, "outer"),
        (AgentStarted, "leaf"),
        (AgentCompleted, "leaf"),
        (AgentCompleted, "outer"),
        (AgentStarted, "caller"),
        (AgentStarted, "leaf"),
        (AgentCompleted, "leaf"),
        (AgentCompleted, "caller"),
    ]
    assert AgentStarted("leaf", "Do the work.") in messages


def test_a_condition_is_no_agent_and_a_command_may_lead_on(run):
    messages = run(
        """
        from langgraph.types import Command
        def first(state):
            return Command(update={"x": 1}, goto="second")
        graph = StateGraph(State)
        graph.add_node("first", first, destinations=("second",))
        graph.add_node("second", lambda state: {"x": 2})
        graph.add_edge(START, "first")
        graph.add_conditional_edges("second", lambda state: END)
        graph = graph.compile()
        """
    )
    completed = [message for message in messages if isinstance(message, AgentCompleted)]
    assert [message.agent for message in completed] == ["first", "second"]
    assert completed[0].output["update"] == {"x": 1}
    assert sum(isinstance(message, AgentStarted) for message in messages) == 2


@pytest.mark.parametrize("saver", ["None", "InMemorySaver()"])
def test_an_interrupt_without_a_thread_fails_the_run(run, saver):
    messages = run(
        f"""
        from langgraph.types import interrupt
        from langgraph.checkpoint.memory import InMemorySaver
        graph = chain(("ask", lambda state: {{"x": interrupt("sure?")}})).compile(checkpointer={saver})
        """,
        1,
    )
    assert not [message for message in messages if isinstance(message, AgentError)]
    assert messages[-1] == Failure("the graph stopped at an interrupt; interrupts need a thread", None)


def test_a_checkpointer_of_the_projects_own_gets_a_thread_even_if_it_is_not_async(run):
    messages = run(
        """
        from langgraph.checkpoint.memory import InMemorySaver
        class Saver(InMemorySaver):
            async def aget_tuple(self, config):
                raise NotImplementedError("use the synchronous methods")
            aput = aput_writes = aget_tuple
        saver = Saver()
        async def deny(): pass
        def work(state):
            asyncio.run(deny())
            return {"x": 1}
        def more(state):
            return {"seen": [next(iter(saver.storage))]}
        graph = chain(("work", work), ("more", more)).compile(checkpointer=saver)
        """
    )
    assert messages[-1] == Result({"x": 1, "seen": ["run_1"]})


def test_an_output_of_more_than_32_mib_fails_the_run_and_its_event_is_shortened(run):
    messages = run("graph = chain(('big', lambda state: {'x': 'ü' * (17 << 20)})).compile()", 0)
    assert messages[-2].output.endswith("bytes of JSON, too large for an event)")
    assert messages[-1] == Failure("output is larger than 32 MiB", None)


def test_outputs_that_are_no_json_are_shown(run):
    messages = run(
        """
        from datetime import datetime
        from pydantic import BaseModel
        class Report(BaseModel):
            title: str
            at: datetime
        async def node(state):
            return {"x": [Report(title="T", at=datetime(2026, 1, 1)), {1, 2}, float("nan"), b"\\0", object]}
        graph = chain(("node", node)).compile()
        """
    )
    assert messages[-1].output["x"] == [
        {"title": "T", "at": "2026-01-01T00:00:00"},
        [1, 2],
        None,
        "AA==",
        "<class 'object'>",
    ]


def test_the_functional_api_works(run):
    messages = run(
        """
        from langgraph.func import entrypoint, task
        @task
        def double(n):
            return 2 * n
        @entrypoint()
        def graph(state):
            return double(state["x"]).result() + 1
        """,
        input={"x": 4},
    )
    assert messages[-1] == Result(9)
    assert AgentCompleted("double", "double", 8) in messages


@pytest.mark.parametrize(
    ("node", "pause"), [("async def", "await asyncio.sleep(1000)"), ("def", "while True: time.sleep(0.01)")]
)
def test_a_stopped_graph_runs_its_finally_blocks(guarded, langgraph_python, node, pause):
    guarded.write(
        graph=STATE
        + f"""
    import time
    {node} wait(state):
        try:
            print("up")
            {pause}
        finally:
            print("cleaning up")
    graph = chain(("wait", wait)).compile()
    """
    )
    guarded.start(guarded.spec(), python=langgraph_python)
    guarded.said("up")
    guarded.tell("stop")
    assert guarded.end() == Exit(code=143, reason="stopped")
    assert guarded.logs() == ["up", "cleaning up"]


def test_a_failure_is_told_although_another_node_still_blocks_its_thread(guarded, langgraph_python):
    guarded.write(
        graph=STATE
        + """
    import time
    def block(state):
        time.sleep(1000)
    def fail(state):
        time.sleep(0.1)
        raise ValueError("now")
    graph = StateGraph(State)
    for node in (block, fail):
        graph.add_node(node.__name__, node)
        graph.add_edge(START, node.__name__)
    graph = graph.compile()
    """
    )
    guarded.start(guarded.spec(), python=langgraph_python)
    guarded.until(lambda: guarded.messages(Failure))
    guarded.tell("kill")
    guarded.end()
    assert guarded.messages(Failure)[0].error == "ValueError: now"
