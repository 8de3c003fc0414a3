"""A research crew without a model: it plans, searches, talks as a model would, and leaves files of every kind."""

import json
import logging
import struct
import time
import zlib
from pathlib import Path
from typing import TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

TEXT = "Isolation keeps one run's mistakes from becoming another's. **Every run** has a sandbox of its own. "
MARKDOWN = """# Report

A *short* report with a [link](https://example.org/), `code` and

| what | how many |
|---|---|
| agents | 3 |
| tools | 2 |

1. first
2. second

```
print("fenced")
```

<script>document.title = "owned"</script>
"""
PAGE = "<!doctype html><h1 id=x>A page</h1><script>document.getElementById('x').textContent = 'it ran'</script>"


class State(TypedDict, total=False):
    """What the crew passes on."""

    topic: str
    pause: float
    fail: bool
    lines: int
    notes: list[str]
    report: dict


@tool
def search(query: str) -> str:
    """Search the web."""
    time.sleep(0.05)
    return f"Fifteen results for {query}"


@tool
def archive(path: str) -> str:
    """Look into the archive."""
    raise FileNotFoundError(f"{path} is not in the archive")


def plan(state: State) -> State:
    """Plan the work."""
    print(f"planning {state.get('topic')}")
    for number in range(state.get("lines", 0)):
        print(f"line {number}")
    logging.getLogger("crew").warning("the plan is thin")
    return {"notes": [f"look for {state.get('topic')}"]}


def research(state: State) -> State:
    """Search, and say what was found."""
    found = search.invoke({"query": state.get("topic") or "everything"})
    try:
        archive.invoke({"path": "/old/notes"})
    except FileNotFoundError:
        logging.getLogger("crew").error("no archive")
    model = GenericFakeChatModel(messages=iter([AIMessage(TEXT * 3)]))
    said = ""
    for chunk in model.stream("go on"):
        said += chunk.content
        time.sleep(state.get("pause", 0.0))
    return {"notes": [*state["notes"], found, said]}


def write(state: State) -> State:
    """Write the report, in every format."""
    if state.get("fail"):
        raise ValueError("the printer is on fire")
    folder = Path("artifacts")
    (folder / "report.md").write_text(MARKDOWN)
    (folder / "data").mkdir()
    (folder / "data" / "figures.csv").write_text("name,price\n" + "".join(f'"row, {n}",{n * 1.5}\n' for n in range(30)))
    (folder / "data" / "result.json").write_text(
        json.dumps({"topic": state.get("topic"), "deep": {"list": [1, 2, {"x": None}]}})
    )
    (folder / "page.html").write_text(PAGE)
    (folder / "notes.txt").write_text("plain words\n" * 5)
    (folder / "picture.png").write_bytes(_png(64))
    (folder / "paper.pdf").write_bytes(_pdf())
    return {"report": {"title": state.get("topic"), "words": 120, "sources": ["a", "b"]}}


def _png(side: int) -> bytes:
    rows = b"".join(b"\0" + bytes(v for x in range(side) for v in (x * 4, y * 4, 128)) for y in range(side))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _pdf() -> bytes:
    drawn = b"BT /F1 24 Tf 40 120 Td (A paper) Tj ET"
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    data, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(data))
        data += b"%d 0 obj%s endobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return data + end % (table, len(data))


builder = StateGraph(State)
builder.add_node("planner", plan)
builder.add_node("researcher", research)
builder.add_node("writer", write)
builder.add_edge(START, "planner")
builder.add_edge("planner", "researcher")
builder.add_edge("researcher", "writer")
builder.add_edge("writer", END)
graph = builder.compile()
