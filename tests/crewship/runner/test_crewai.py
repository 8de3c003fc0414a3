"""Real crews, real CrewAI; only the model is none."""

import shutil
from pathlib import Path

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
    Values,
)
from tests.e2e.model import model

CREW = Path(__file__).parents[2] / "e2e" / "crew"
KEY = "sk-of-the-tests"
SAID = "Agents need a home."
RESEARCH = "Search the web for isolation."
REPORT = "Write a report from what was found."
QUERY = {"query": "AI agents 2024"}
BEFORE = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]
THREAD = {
    "thread_id": "thr_1",
    "mode": "run",
    "chat": {"input_key": "message", "output_key": None},
    "thread": {"values": {"messages": BEFORE, "tone": "dry"}, "head": None, "checkpoints": []},
}
HAPPENED = (AgentStarted, AgentCompleted, AgentError, ToolCalled, ToolResult, ToolError, Token, Values, Failure)

CODE = """
    import time
    from crewai import Agent, Crew, LLM, Task
    from crewai.flow.flow import Flow, listen, start
    from crewai.tools import tool
    from pydantic import BaseModel

    def one(tools=(), stream=False, **more):
        llm = LLM(model="gpt-4o-mini", stream=stream)
        agent = Agent(role="Helper", goal="Help", backstory="Old", tools=list(tools), llm=llm)
        return Crew(agents=[agent], tasks=[Task(description="{message}?", expected_output="One", agent=agent, **more)])

    @tool("web_search")
    def broken(query: str) -> str:
        '''Searches.'''
        raise RuntimeError("the search is down")

    @tool("web_search")
    def slow(query: str) -> str:
        '''Searches.'''
        time.sleep(1000)

    plain = one()
    def with_broken_tool(inputs): return one(tools=[broken])
    def with_slow_tool(): return one(tools=[slow])
    def streaming(): return one(stream=True)
    def asking(): return one(human_input=True)
    def refused(): return one(guardrail=lambda output: (False, "too dull"), guardrail_max_retries=0)
    async def counted(message: str, times: int = 2): return {"said": message * times}

    class State(BaseModel):
        message: str = ""
        drafts: list = []

    class Poem(Flow[State]):
        @start()
        def draft(self):
            '''Write a draft.

            A short one.
            '''
            self.state.drafts.append(one().kickoff(inputs={"message": self.state.message}).raw)

        @listen(draft)
        def polish(self):
            return self.state.drafts[-1] + "!"
"""


@pytest.fixture
def kickoff(guarded):
    """Run a crew, against a model whose first answers are the faults; what the journal says up to its exit."""

    def kickoff(python, entrypoint, given, *faults, ends=None, key=KEY, **changes):
        shutil.rmtree(guarded.app)
        shutil.copytree(CREW, guarded.app)
        guarded.write(code=CODE)
        (guarded.app / "artifacts").mkdir()
        with model(*faults) as url:
            env = {"OPENAI_BASE_URL": url, "OPENAI_API_BASE": url, "OPENAI_MODEL_NAME": "gpt-4o-mini"}
            env |= {"HOME": str(guarded.folder), "PATH": "/usr/bin:/bin"} | ({"OPENAI_API_KEY": key} if key else {})
            spec = guarded.spec(entrypoint, framework="crewai", input=given, env=env, **changes)
            assert guarded.run(spec, python=python) == (ends or Exit(code=0)), guarded.messages()
        return guarded.messages()[2:-1]

    return kickoff


def happened(messages):
    """What is neither a log line nor the result."""
    return [message for message in messages if isinstance(message, HAPPENED)]


def test_agents_tools_and_files_of_a_crew(kickoff, crewai_python, guarded):
    *messages, result = kickoff(crewai_python, "research_crew.crew:ResearchCrew", {"topic": "isolation"})
    assert happened(messages) == [
        AgentStarted("isolation Researcher", RESEARCH),
        ToolCalled("web_search", QUERY),
        ToolResult("web_search", "Agents need isolation."),
        AgentCompleted("isolation Researcher", RESEARCH, SAID),
        AgentStarted("Writer", REPORT),
        AgentCompleted("Writer", REPORT, SAID),
    ]
    research = {"name": "research_task", "description": f"{RESEARCH}\n", "agent": "isolation Researcher\n"}
    report = {"name": "report_task", "description": f"{REPORT}\n", "agent": "Writer\n"}
    tasks = [{**research, "raw": SAID, "json": None}, {**report, "raw": SAID, "json": None}]
    assert result == Result({"raw": SAID, "json": None, "tasks_output": tasks})
    assert (guarded.app / "artifacts" / "report.md").read_text() == SAID
    logs = [message.message for message in messages if isinstance(message, Log)]
    assert "searching AI agents 2024" in logs
    assert "Final Answer:" in logs  # of CrewAI's own boxes the text is left
    assert [line for line in logs if not line.strip() or any(mark in line for mark in "─│╭╰\x1b")] == []
    assert [message for message in messages if isinstance(message, Log) and message.level != "info"] == []


@pytest.mark.long
def test_a_turn_of_a_thread_goes_on_from_what_the_thread_knows(kickoff, crewai_python):
    *messages, result = kickoff(crewai_python, "code:Poem", {"message": "rain"}, **THREAD)
    said = [{"role": "user", "content": "rain"}, {"role": "assistant", "content": SAID + "!"}]
    assert happened(messages) == [
        AgentStarted("draft", "Write a draft."),
        AgentStarted("Helper", "rain?"),
        AgentCompleted("Helper", "rain?", SAID),
        AgentCompleted("draft", "Write a draft."),
        AgentStarted("polish", "polish"),
        AgentCompleted("polish", "polish", SAID + "!"),
        Values({"message": "rain", "drafts": [SAID], "tone": "dry", "messages": [*BEFORE, *said]}),
    ]
    assert result == Result({"raw": SAID + "!", "json": None, "tasks_output": []})


@pytest.mark.long
@pytest.mark.parametrize("old_crewai_python", ["0.80.0", "0.108.0", "0.203.2", "1.0.0"], indirect=True)
def test_older_releases_tell_the_same_of_agents_and_tools(kickoff, old_crewai_python, guarded):
    messages = kickoff(old_crewai_python, "research_crew.crew:ResearchCrew", {"topic": "isolation"})
    told = [type(message) for message in happened(messages)]
    assert told == [AgentStarted, ToolCalled, ToolResult, AgentCompleted, AgentStarted, AgentCompleted]
    # Not every release can be waited for: its own last lines may come after the result.
    (result,) = [message for message in messages if isinstance(message, Result)]
    assert result.output["raw"] == SAID
    assert len(result.output["tasks_output"]) == 2
    assert (guarded.app / "artifacts" / "report.md").read_text() == SAID


@pytest.mark.long
def test_a_tool_that_raises_is_told_and_the_agent_goes_on(kickoff, crewai_python):
    messages = kickoff(crewai_python, "code:with_broken_tool", {"message": "Why"})
    assert happened(messages) == [
        AgentStarted("Helper", "Why?"),
        ToolCalled("web_search", QUERY),
        ToolError("web_search", "RuntimeError: the search is down"),
        AgentCompleted("Helper", "Why?", SAID),
    ]


@pytest.mark.long
def test_a_model_that_streams_is_heard(kickoff, crewai_python):
    messages = happened(kickoff(crewai_python, "code:streaming", {"message": "Why"}))
    tokens = [message for message in messages if isinstance(message, Token)]
    assert "".join(token.text for token in tokens) == SAID
    assert {token.agent for token in tokens} == {"Helper"}


@pytest.mark.long
@pytest.mark.parametrize("fault", [429, 500, "garbage"])
def test_a_model_that_stumbles_once_fails_no_run(kickoff, crewai_python, fault):
    messages = kickoff(crewai_python, "code:plain", {"message": "Why"}, fault)
    assert happened(messages)[-1] == AgentCompleted("Helper", "Why?", SAID)


@pytest.mark.long
@pytest.mark.parametrize("fault", [429, 500])
def test_a_model_that_always_fails_is_the_runs_error(kickoff, crewai_python, fault):
    messages = kickoff(crewai_python, "code:plain", {"message": "Why"}, *[fault] * 100, ends=Exit(code=1))
    assert isinstance(messages[-1], Failure)
    assert f"the model answers {fault}" in messages[-1].error
    assert AgentError in [type(message) for message in messages]


@pytest.mark.long
def test_a_missing_key_is_named(kickoff, crewai_python):
    messages = kickoff(crewai_python, "code:plain", {"message": "Why"}, key=None, ends=Exit(code=1))
    assert "OPENAI_API_KEY" in messages[-1].error


@pytest.mark.long
def test_an_agent_that_never_stops_is_stopped(kickoff, crewai_python):
    ends = Exit(signal=9, reason="timeout", message="the run took longer than 20 s")
    messages = kickoff(crewai_python, "code:with_slow_tool", {"message": "Why"}, ends=ends, limits={"timeout": 20})
    assert ToolCalled("web_search", QUERY) in messages


@pytest.mark.long
def test_a_guardrail_that_refuses_is_told_and_fails_the_task(kickoff, crewai_python):
    messages = kickoff(crewai_python, "code:refused", {"message": "Why"}, ends=Exit(code=1))
    assert Log("warning", "A guardrail refused the task's output: too dull", "runner") in messages
    assert [message.agent for message in messages if isinstance(message, AgentError)] == ["Helper"]
    assert "too dull" in messages[-1].error


@pytest.mark.long
def test_nobody_can_be_asked_in_a_run(kickoff, crewai_python):
    messages = kickoff(crewai_python, "code:asking", {"message": "Why"}, ends=Exit(code=1))
    assert "has no terminal" in messages[-1].error
    assert messages[-1].stack_trace is None


@pytest.mark.long
def test_a_function_gets_its_parameters_by_name(kickoff, crewai_python):
    messages = kickoff(crewai_python, "code:counted", {"message": "ho"})
    assert messages[-1] == Result({"raw": '{"said": "hoho"}', "json": {"said": "hoho"}, "tasks_output": []})
