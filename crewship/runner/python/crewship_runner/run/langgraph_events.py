"""LangGraph's callbacks as reports: nodes are agents, and tools, and the tokens of models that the project streams."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
from typing import Any

from .failures import message_of
from .reporter import Reporter

_STEP = "graph:step:"  # LangGraph tags the run of a node itself with this, and nothing inside of it
_HIDDEN = "langsmith:hidden"
_SILENT = "nostream"  # LangGraph's own tag for models whose tokens nobody should see


def handler_for(graph: Any, reporter: Reporter) -> Any:
    """A callback handler that reports what happens in `graph`."""
    base = importlib.import_module("langchain_core.callbacks").BaseCallbackHandler
    handler = type("CrewshipEvents", (GraphEvents, base), {})
    return handler(reporter, _tasks(graph))


class GraphEvents:
    """Hears the callbacks of one run, from any thread; inline, so that events and prints keep their order."""

    run_inline = True
    raise_error = False

    def __init__(self, reporter: Reporter, tasks: dict[str, str]) -> None:
        super().__init__()
        self._reporter = reporter
        self._tasks = tasks
        self._nodes: dict[Any, str] = {}  # run id of a node → its name
        self._places: dict[Any, Any] = {}  # run id of a node → where it stands among graphs inside graphs
        self._tools: dict[Any, str] = {}  # run id of a tool → its name
        self._models: dict[Any, str] = {}  # run id of a model → the node that asked it

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: Any, **more: Any) -> None:
        """A node begins, or something inside of one, which is not told."""
        tags, metadata = more.get("tags") or [], more.get("metadata") or {}
        place, called = metadata.get("langgraph_checkpoint_ns"), more.get("name")
        name = str(metadata.get("langgraph_node") or called or "")
        is_node = any(tag.startswith(_STEP) for tag in tags)
        # A task of the functional API has no such tag; it is the first in a place of its own that bears its name.
        is_task = bool(place) and called == name and place not in self._places.values()
        if (is_node or is_task) and name not in ("", "__start__") and _HIDDEN not in tags:
            self._nodes[run_id], self._places[run_id] = name, place
            self._reporter.report("agent.started", agent=name, task=self._task(name))

    def on_chain_end(self, outputs: Any, *, run_id: Any, **_: Any) -> None:
        """A node's update is its output."""
        name = self._end(run_id)
        if name is not None:
            self._reporter.report("agent.completed", agent=name, task=self._task(name), output=outputs)

    def on_chain_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        """A node failed, unless its exception is LangGraph's way to ask somebody or to go to the parent graph."""
        name = self._end(run_id)
        if name is None:
            return
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if "ParentCommand" in kinds:
            command = error.args[0] if error.args else None
            self._reporter.report("agent.completed", agent=name, task=self._task(name), output=command)
        elif not kinds & {"GraphBubbleUp", "GraphInterrupt"}:
            self._reporter.report("agent.error", agent=name, error=message_of(error))

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: Any, **more: Any) -> None:
        """A tool is called: with its arguments by name where they are known, else with its input as text."""
        name = str(more.get("name") or (serialized or {}).get("name") or "tool")
        self._tools[run_id] = name
        inputs = more.get("inputs")
        self._reporter.report("tool.called", tool=name, input=input_str if inputs is None else inputs)

    def on_tool_end(self, output: Any, *, run_id: Any, **_: Any) -> None:
        """A tool's result; of a message its content."""
        output = getattr(output, "content", output)
        self._reporter.report("tool.result", tool=self._tools.pop(run_id, "tool"), output=output)

    def on_tool_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        """A tool raised."""
        self._reporter.report("tool.error", tool=self._tools.pop(run_id, "tool"), error=message_of(error))

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, **more: Any) -> None:
        """Remember whose tokens will come."""
        if _SILENT not in (more.get("tags") or []):
            self._models[run_id] = str((more.get("metadata") or {}).get("langgraph_node") or "")

    on_llm_start = on_chat_model_start

    def on_llm_new_token(self, token: Any, *, run_id: Any, **_: Any) -> None:
        """A piece of a model's output; the guard joins what comes close together."""
        agent = self._models.get(run_id)
        text = token if isinstance(token, str) else _text_of(token)
        if text and agent is not None:
            self._reporter.report("token", agent=agent, text=text)

    def on_llm_end(self, response: Any, *, run_id: Any, **_: Any) -> None:
        """No more tokens of this model."""
        self._models.pop(run_id, None)

    def on_llm_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        """No more tokens of this model."""
        self._models.pop(run_id, None)

    def _end(self, run_id: Any) -> str | None:
        """The name of the node whose run ends, None for what is none."""
        self._places.pop(run_id, None)
        return self._nodes.pop(run_id, None)

    def _task(self, name: str) -> str:
        return self._tasks.get(name, name)


def _text_of(token: Any) -> str:
    """The text in a list of content blocks, which some models stream."""
    blocks = token if isinstance(token, list) else []
    return "".join(str(block.get("text", "")) if isinstance(block, dict) else str(block) for block in blocks)


def _tasks(graph: Any) -> dict[str, str]:
    """The first line of the docstring of each node that has one, in the graph and in the graphs inside of it."""
    tasks: dict[str, str] = {}
    graphs = [graph]
    with contextlib.suppress(Exception):  # an older release, or another kind of runnable
        graphs += [inner for _, inner in graph.get_subgraphs(recurse=True)]
    for each in graphs:
        nodes = getattr(each, "nodes", None)
        for name, node in nodes.items() if isinstance(nodes, dict) else ():
            bound = getattr(node, "bound", None)
            task = _first_line(getattr(bound, "func", None) or getattr(bound, "afunc", None))
            if task:
                tasks.setdefault(name, task)
    return tasks


def _first_line(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    text = inspect.getdoc(function) if inspect.isroutine(function) else None
    return text.strip().split("\n", 1)[0].strip() if text else ""
