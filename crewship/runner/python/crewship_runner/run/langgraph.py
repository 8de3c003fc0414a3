"""Runs a LangGraph graph: the input is its initial state, its final state is the run's output.

LangGraph 0.2 and later; what an older release does not tell is left out of the events.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import sys
from typing import Any

from .ending import Ending, Problem
from .langgraph_events import handler_for
from .reporter import Reporter

INTERRUPT = "__interrupt__"  # the key under which LangGraph hands out that it stopped to ask
NEEDS_THREAD = "the graph stopped at an interrupt; interrupts need a thread"
# Before Python 3.11 a task does not carry its context along, and with it the callbacks that hear of tools and tokens.
CONTEXT_FOLLOWS_TASKS = (3, 11)
UPDATE = "update_state"  # the mode of a job that runs no node
MODES = ["updates", "values"]  # interrupts come with the updates, the final state is the last of the values


def prepare() -> None:
    """Nothing has to be said before the project imports LangGraph."""


def run(entry: Any, job: dict[str, Any], reporter: Reporter, ending: Ending) -> int:
    """Run the entrypoint's graph to its ending; returns the exit status."""
    made = _call(entry, job)

    async def attempt() -> int:
        try:
            async with contextlib.AsyncExitStack() as stack:
                return ending.succeed(await _execute(await _graph(made, stack), job, reporter))
        except Exception as error:
            return ending.fail(error)

    return asyncio.run(attempt())


def _call(entry: Any, job: dict[str, Any]) -> Any:
    """What a function at the entrypoint returns; it is called before there is an event loop, and may use its own."""
    if _is_graph(entry) or hasattr(entry, "compile") or not callable(entry):
        return entry
    empty = inspect.Parameter.empty
    parameters = list(inspect.signature(entry).parameters.values())
    parameters = [each for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    required = [each for each in parameters if each.default is empty]
    if len(required) > 1:
        raise Problem("entrypoint: the function must take no argument, or the run's config, and return a graph")
    wanted = required[0] if required else next((each for each in parameters if each.name == "config"), None)
    if wanted is None:
        return entry()
    config = {"configurable": {"thread_id": job["thread_id"] or job["run_id"]}}
    return entry(config) if wanted.kind is wanted.POSITIONAL_ONLY else entry(**{wanted.name: config})


async def _graph(made: Any, stack: contextlib.AsyncExitStack) -> Any:
    """A compiled graph from what the entrypoint is or returned: awaited, entered or compiled as it needs."""
    if inspect.isawaitable(made):
        made = await made
    if hasattr(made, "__aenter__"):
        made = await stack.enter_async_context(made)
    elif hasattr(made, "__enter__"):
        made = stack.enter_context(made)
    if not _is_graph(made) and hasattr(made, "compile"):
        made = made.compile()
    if not _is_graph(made):
        raise Problem(f"entrypoint: {type(made).__name__} is neither a graph nor a function that returns one")
    return made


def _is_graph(value: Any) -> bool:
    return hasattr(value, "astream") and hasattr(value, "ainvoke") and not inspect.isclass(value)


async def _execute(graph: Any, job: dict[str, Any], reporter: Reporter) -> Any:
    """The final state. Raises Problem at an interrupt that nobody can answer, and what the project's nodes raise."""
    config: dict[str, Any] = {"callbacks": [handler_for(graph, reporter)]}
    if not hasattr(graph, "stream_mode"):  # a chain or another runnable, which has no state
        if job.get("mode") == UPDATE:
            raise Problem(f"entrypoint: {type(graph).__name__} is no graph and has no state to update")
        return await graph.ainvoke(job["input"], config)
    if job["thread_id"] is not None:
        return await _converse(graph, job, config, reporter)
    if hasattr(getattr(graph, "checkpointer", None), "aget_tuple"):
        config["configurable"] = {"thread_id": job["run_id"]}
    final = await _stream(graph, job["input"], config)
    if final.interrupted:
        raise Problem(NEEDS_THREAD)
    return final.values


async def _converse(graph: Any, job: dict[str, Any], config: dict[str, Any], reporter: Reporter) -> Any:
    """The final state of a run in a thread, or after an update of the thread's state."""
    threads = importlib.import_module(".langgraph_thread", __package__)  # imports what no other run needs
    conversation = threads.Conversation(graph, job, reporter)
    if job.get("mode") == UPDATE:
        return await conversation.update()
    config["configurable"] = conversation.configurable
    final = await _stream(graph, await conversation.input(), config, **conversation.options)
    return await conversation.end(final.values, final.interrupted)


async def _stream(graph: Any, given: Any, config: dict[str, Any], **options: Any) -> _Final:
    """Run the graph to its end, or to an interrupt."""
    final = _Final()
    checkpointer = getattr(graph, "checkpointer", None)
    half = hasattr(checkpointer, "aget_tuple") and not await _is_async(checkpointer, config)
    if half or (sys.version_info < CONTEXT_FOLLOWS_TASKS and not _needs_async(graph)):

        def stream() -> None:
            for mode, chunk in graph.stream(given, config, stream_mode=MODES, **options):
                final.take(mode, chunk)

        await asyncio.to_thread(stream)
    else:
        async for mode, chunk in graph.astream(given, config, stream_mode=MODES, **options):
            final.take(mode, chunk)
    return final


def _needs_async(graph: Any) -> bool:
    """Whether a node, also of a subgraph, can only be awaited."""
    bound = [getattr(node, "bound", None) for node in getattr(graph, "nodes", {}).values()]
    return any(getattr(node, "func", node) is None or _needs_async(node) for node in bound)


async def _is_async(checkpointer: Any, config: dict[str, Any]) -> bool:
    """Whether the project's own checkpointer can be used from async code; many have one half of the methods only."""
    try:
        await checkpointer.aget_tuple(config)
    except NotImplementedError:
        return False
    return True


class _Final:
    """The last values of a stream, and whether it stopped at an interrupt."""

    def __init__(self) -> None:
        self.values: Any = None
        self.interrupted = False

    def take(self, mode: str, chunk: Any) -> None:
        """Take in one piece of the stream."""
        if isinstance(chunk, dict) and INTERRUPT in chunk:
            self.interrupted = True
            chunk = {name: value for name, value in chunk.items() if name != INTERRUPT}
        if mode == "values":
            self.values = chunk
