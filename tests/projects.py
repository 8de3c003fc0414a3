"""Projects as their users write them, for tests to deploy."""

import gzip
import io
import tarfile
from typing import Any

PYPROJECT = """\
[project]
name = "probe"
version = "0.1.0"
requires-python = ">=3.10"
dependencies = ["langgraph"]
"""

MANIFEST = """\
[deployment]
framework = "langgraph"
entrypoint = "graph:graph"
"""

GRAPH = '''\
"""Does what its input says: a list of steps."""
import os
import sys
import time
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    steps: list
    said: Any


def act(state):
    """Take the steps."""
    said = None
    for step in state.get("steps", []):
        name, value = step[0], step[1] if len(step) > 1 else None
        if name == "print":
            print(value, flush=True)
        elif name == "count":
            for number in range(value):
                print(f"line {number}")
        elif name == "slowly":
            for number in range(value):
                print(f"line {number}", flush=True)
                time.sleep(step[2])
        elif name == "sleep":
            time.sleep(value)
        elif name == "stubborn":
            while True:
                try:
                    time.sleep(60)
                except BaseException:
                    pass
        elif name == "raise":
            raise ValueError(value)
        elif name == "exit":
            os._exit(value)
        elif name == "write":
            path = Path("artifacts") / value
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step[2])
        elif name == "link":
            os.symlink("/etc/passwd", "artifacts/link")
        elif name == "env":
            said = os.environ.get(value)
        elif name == "print_env":
            print(os.environ.get(value), flush=True)
        elif name == "long":
            said = "x" * value
        elif name == "ask_api":
            import urllib.error
            import urllib.request
            url = os.environ["CREWSHIP_API_URL"] + value.replace("RUN", os.environ["CREWSHIP_RUN_ID"])
            key = (step[2] if len(step) > 2 else None) or os.environ["CREWSHIP_API_KEY"]
            body = step[3].encode() if len(step) > 3 else None
            request = urllib.request.Request(url, body, {"Authorization": f"Bearer {key}"})
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    said = answer.status
            except urllib.error.HTTPError as error:
                said = error.code
        elif name == "deep":
            said = []
            for _ in range(value):
                said = [said]
        elif name == "odd":
            said = {1, 2}
        elif name == "binary":
            sys.stdout.buffer.write(bytes(range(256)) + b"\\n")
            sys.stdout.flush()
        elif name == "one_line":
            sys.stdout.buffer.write(b"y" * value + b"\\n")
            sys.stdout.flush()
        elif name == "wait_for":
            while not Path(value).exists():
                time.sleep(0.01)
        elif name == "say":
            said = value
    return {"said": said}


builder = StateGraph(State)
builder.add_node("worker", act)
builder.add_edge(START, "worker")
builder.add_edge("worker", END)
graph = builder.compile()
'''

PROBE = {"crewship.toml": MANIFEST, "pyproject.toml": PYPROJECT, "graph.py": GRAPH}


def pack(files: dict[str, str], **extra: Any) -> bytes:
    """A project as the command line uploads it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue())


CHAT_GRAPH = '''\
"""A chat that needs no model: it counts what was said, asks before it deletes, and fails when told to."""
import time
from typing import Annotated, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    message: str
    topic: str


def hear(state: State) -> State:
    """Take in what was said."""
    if state.get("message"):
        return {"messages": [{"role": "user", "content": state["message"]}], "message": ""}
    return {}


def reply(state: State) -> State:
    """Answer."""
    said = state["messages"][-1].content
    if said.startswith("fail"):
        raise RuntimeError("as you wish")
    if said.startswith("sleep"):
        time.sleep(float(said.split()[1]))
    if said.startswith("delete"):
        answer = interrupt({"question": "Really?"})
        return {"messages": [AIMessage(f"answered {answer}")]}
    heard = [message.content for message in state["messages"] if message.type == "human"]
    return {"messages": [AIMessage(f"{len(heard)}: {heard[0]} … {said}")]}


builder = StateGraph(State)
builder.add_node("hear", hear)
builder.add_node("reply", reply)
builder.add_edge(START, "hear")
builder.add_edge("hear", "reply")
builder.add_edge("reply", END)
graph = builder.compile()
'''

CHAT = {
    "crewship.toml": MANIFEST + '[chat]\ninput_key = "message"\n',
    "pyproject.toml": PYPROJECT,
    "graph.py": CHAT_GRAPH,
}
