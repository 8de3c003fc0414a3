"""Real LangGraph.js graphs in a Node, driven by the same guard as those in Python."""

import subprocess
from textwrap import dedent

import pytest

from crewship.engine.protocol import (
    AgentCompleted,
    AgentError,
    AgentStarted,
    Checkpoint,
    Exit,
    Failure,
    Log,
    Ready,
    Result,
    Token,
    ToolCalled,
    ToolError,
    ToolResult,
    Warm,
)
from tests.crewship.runner.node import HOST, OLD, TODAY, Project, packages
from tests.crewship.runner.talk import Thread
from tests.e2e.model import WORDS, model


@pytest.fixture(scope="module")
def today():
    return Project(packages("today", TODAY))


@pytest.fixture(scope="module", params=["today", pytest.param("old", marks=pytest.mark.long)])
def release(request):
    return Project(packages(request.param, TODAY if request.param == "today" else OLD))


class NodeThread(Thread):
    """As Thread, in a Node."""

    def __init__(self, make, project):
        super().__init__(make, None)
        self._project = project

    def launch(self, guard, changes):
        self._project.start(guard, self.code, **changes)


EVENTS = """
    import { tool } from "@langchain/core/tools";
    import { z } from "zod";
    const schema = z.object({ query: z.string() });
    const search = tool(async ({ query }) => {
      if (query === "nothing") throw new Error("found nothing");
      return `found ${query}`;
    }, { name: "search", description: "searches", schema });
    async function plan(state, config) {
      console.log("to stdout\\nin two lines");
      console.error("to stderr");
      process.stdout.write("half ");
      process.stdout.write("a line\\n");
      await search.invoke({ query: state.x }, config);
      await search.invoke({ query: "nothing" }, config).catch(() => {});
      return { seen: ["plan"] };
    }
    const inner = chain({ deep: async () => ({ seen: ["deep"] }) }).compile();
    export const graph = chain({ plan, nested: (state, config) => inner.invoke({ x: state.x }, config) }).compile();
"""


def test_nodes_are_agents_and_tools_are_told_between_what_they_print(guarded, release):
    release.start(guarded, EVENTS, input={"x": "agents"})
    assert guarded.end() == Exit(code=0)
    told = [message for message in guarded.messages()[2:-1] if not (isinstance(message, Log) and not message.message)]
    assert told == [
        AgentStarted("plan", "plan"),
        Log("info", "to stdout", "stdout"),
        Log("info", "in two lines", "stdout"),
        Log("error", "to stderr", "stderr"),
        Log("info", "half a line", "stdout"),
        ToolCalled("search", {"query": "agents"}),
        ToolResult("search", "found agents"),
        ToolCalled("search", {"query": "nothing"}),
        ToolError("search", "Error: found nothing"),
        AgentCompleted("plan", "plan", {"seen": ["plan"]}),
        AgentStarted("nested", "nested"),
        AgentStarted("deep", "deep"),
        AgentCompleted("deep", "deep", {"seen": ["deep"]}),
        told[13],
        Result({"x": "agents", "seen": ["plan", "deep"]}),
    ]
    assert isinstance(told[13], AgentCompleted)
    assert told[13].agent == "nested"


def test_a_model_streams_tokens(guarded, today):
    code = """
        import { ChatOpenAI } from "@langchain/openai";
        const llm = new ChatOpenAI({ model: "gpt-4o-mini", maxRetries: 0 });
        const writer = async (state, config) => {
          let message;
          for await (const piece of await llm.stream(state.messages, config)) {
            message = message === undefined ? piece : message.concat(piece);
          }
          return { messages: [message] };
        };
        export const graph = chain({ writer }, MessagesAnnotation).compile();
    """
    with model() as url:
        env = {"OPENAI_API_KEY": "sk-of-the-tests", "OPENAI_BASE_URL": url}
        today.start(guarded, code, input={"messages": [{"role": "user", "content": "Hi"}]}, env=env)
        assert guarded.end() == Exit(code=0)
    assert {token.agent for token in guarded.messages(Token)} == {"writer"}
    assert "".join(token.text for token in guarded.messages(Token)) == "".join(WORDS)
    (result,) = guarded.messages(Result)
    assert said(result) == ["Hi", "".join(WORDS)]


def test_a_node_that_throws_fails_the_run_with_its_own_frames_alone(guarded, today):
    code = """
        async function writer() { throw new TypeError("as you wish"); }
        export function graph() { return chain({ writer }); }
    """
    today.start(guarded, code)
    assert guarded.end() == Exit(code=1)
    assert guarded.messages(AgentError) == [AgentError("writer", "TypeError: as you wish")]
    (failure,) = guarded.messages(Failure)
    assert failure.error == "TypeError: as you wish"
    assert "graph.mjs" in failure.stack_trace
    assert str(HOST.parent) not in failure.stack_trace


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("export const other = 1;", 'has no export "graph"; it exports other'),
        ("export const graph = 1;", "Number is neither a graph nor a function that returns one"),
        ("process.exit(3);", "called process.exit(3) before there was a result"),
        ("export const graph = new Promise(() => {});", "waits for something that can never come"),
        ("export const graph = chain({ ask: () => ({ x: interrupt('?') }) }).compile();", "interrupts need a thread"),
    ],
    ids=["no-export", "no-graph", "exit", "never", "interrupt"],
)
def test_whatever_goes_wrong_is_said(guarded, today, code, error):
    if "interrupt" in error:
        code = code.replace(".compile()", ".compile({ checkpointer: new MemorySaver() })")
    today.start(guarded, code)
    assert guarded.end().code != 0
    (failure,) = guarded.messages(Failure)
    assert error in failure.error


def test_a_run_that_is_asked_to_stop_hears_it(guarded, today):
    code = """
        async function wait(state, { signal }) {
          console.log("waiting");
          await new Promise((_, reject) => {
            const timer = setTimeout(() => {}, 60_000);
            signal.addEventListener("abort", () => { clearTimeout(timer); reject(new Error("told to stop")); });
          });
        }
        export const graph = chain({ wait }).compile();
    """
    today.start(guarded, code)
    guarded.said("waiting")
    guarded.tell("stop")
    assert guarded.end() == Exit(code=143, reason="stopped")
    assert guarded.messages(Failure)[0].error == "the run was asked to stop"


def test_a_warm_run_has_imported_everything_before_it_is_called(guarded, today):
    code = """
        console.log(`importing with ${process.env.GIVEN} ${process.env.CREWSHIP_RUN_ID}`);
        const node = (state) => ({ x: [process.env.CREWSHIP_RUN_ID, process.env.GIVEN, state.x] });
        export const graph = chain({ node }).compile();
    """
    today.start(guarded, code, warm=True, run_id="", env={"GIVEN": "yes"})
    guarded.until(lambda: guarded.messages(Warm))
    assert guarded.messages() == [Warm()]
    guarded.call(run_id="run_7", input={"x": 1}, env={"CREWSHIP_RUN_ID": "run_7"})
    assert guarded.end() == Exit(code=0)
    assert [type(message) for message in guarded.messages()[:3]] == [Warm, Ready, Log]
    assert guarded.logs() == ["importing with yes undefined"]
    assert guarded.messages(Result) == [Result({"x": ["run_7", "yes", 1], "seen": []})]


def test_a_warm_sandbox_that_no_run_needs_ends_by_itself(guarded, today):
    today.start(guarded, "export const graph = chain({ node: () => ({}) }).compile();", warm=True, run_id="")
    guarded.until(lambda: guarded.messages(Warm))
    guarded.write_spec(b"")
    assert guarded.end().reason == "stopped"


CHAT = """
    const ask = async (state) => {
      const heard = state.messages.at(-1).content;
      if (heard === "delete") return { messages: [{ role: "ai", content: `answered ${interrupt({ sure: true })}` }] };
      if (heard === "fail") throw new Error("as you wish");
      return { messages: [{ role: "ai", content: `${state.messages.length} so far` }] };
    };
    export const graph = chain({ hear: async () => ({}), ask }, MessagesAnnotation).compile();
"""


def user(text):
    return {"messages": [{"role": "user", "content": text}]}


def said(result):
    return [message["content"] for message in result.output["messages"]]


def test_a_chat_remembers_asks_is_edited_and_goes_back(guards, today):
    thread = NodeThread(guards, today)
    thread.code = CHAT
    assert said(thread.run(input=user("hello"))) == ["hello", "1 so far"]
    first = thread.told(Checkpoint)
    assert [(told.step, told.source) for told in first] == [(-1, "input"), (0, "loop"), (1, "loop"), (2, "loop")]
    assert [told.parent_id for told in first] == [None, *(told.checkpoint_id for told in first[:-1])]
    assert first[0].values == {"messages": []}
    head = thread.head
    assert said(thread.run(input=user("delete"))) == ["hello", "1 so far", "delete"]
    (asked,) = thread.asked()
    assert asked.value == {"sure": True}
    assert thread.told(Checkpoint)[0].parent_id == head
    answered = thread.run(resume={"value": {asked.id: "yes"}})
    assert said(answered) == ["hello", "1 so far", "delete", "answered yes"]
    assert thread.values == answered.output
    assert said(thread.update(user("put by hand"), as_node="ask"))[-2:] == ["answered yes", "put by hand"]
    thread.head = head
    assert said(thread.update(None, checkpoint_id=head)) == ["hello", "1 so far"]
    assert said(thread.run(input=user("again"))) == ["hello", "1 so far", "again", "3 so far"]


def test_a_reducer_goes_on_and_unchanged_channels_are_not_sent_again(guards, release):
    thread = NodeThread(guards, release)
    thread.code = "export const graph = chain({ add: () => ({ seen: ['node'] }), more: () => ({}) }).compile();"
    assert thread.run(input={"x": "X" * 1000, "seen": ["a"]}) == Result({"x": "X" * 1000, "seen": ["a", "node"]})
    assert [name for told in thread.told(Checkpoint) for name in told.channels].count("x") == 1
    assert thread.run(input={"seen": ["b"]}) == Result({"x": "X" * 1000, "seen": ["a", "node", "b", "node"]})
    assert [name for told in thread.told(Checkpoint) for name in told.channels].count("x") == 0


SHOWN = """
    import { jsonable } from "%s";
    const loop = {}; loop.self = loop;
    const odd = { get bad() { throw new Error("no"); } };
    console.log(JSON.stringify([
      NaN, Infinity, 10n, 2n ** 70n, undefined, new Date(0), new Map([["a", new Set([1])]]), new Uint8Array([1, 2]),
      { a: undefined, b: () => 1, c: null }, loop.self === loop && typeof jsonable(loop).self, typeof jsonable(odd),
      "\\ud800", new TypeError("x"), { ["__proto__"]: 1 },
    ].map(jsonable)));
"""


def test_whatever_a_state_holds_becomes_json(tmp_path):
    code = dedent(SHOWN) % (HOST.parent / "run" / "jsonable.mjs")
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == (
        '[null,"Infinity",10,"1180591620717411303424",null,"1970-01-01T00:00:00.000Z",{"a":[1]},"AQI=",'
        '{"c":null},"string","string","\ufffd","\'TypeError: x\'",{"__proto__":1}]'
    )
