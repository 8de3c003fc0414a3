"""A research agent as its users write it: a model with a tool, and a writer. It knows nothing of Crewship."""

from pathlib import Path
from typing import Annotated, TypedDict

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, tools_condition


class State(TypedDict, total=False):
    topic: str
    messages: Annotated[list[AnyMessage], add_messages]
    report: str


@tool
def web_search(query: str) -> str:
    """Search the web."""
    return f"Fifteen results for {query}"


model = ChatOpenAI(model="gpt-4o-mini", streaming=True)


def researcher(state: State) -> State:
    """Research the topic."""
    question = HumanMessage(f"Research {state['topic']}")
    answer = model.bind_tools([web_search]).invoke([question, *state.get("messages", [])])
    return {"messages": [answer]}


def writer(state: State) -> State:
    """Write the report."""
    report = f"# {state['topic']}\n\n{state['messages'][-1].content}\n"
    Path("/app/artifacts/report.md").write_text(report)
    return {"report": report}


builder = StateGraph(State)
builder.add_node("researcher", researcher)
builder.add_node("tools", ToolNode([web_search]))
builder.add_node("writer", writer)
builder.add_edge(START, "researcher")
builder.add_conditional_edges("researcher", tools_condition, {"tools": "tools", END: "writer"})
builder.add_edge("tools", "researcher")
builder.add_edge("writer", END)
graph = builder.compile()
