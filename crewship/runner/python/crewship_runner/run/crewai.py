"""Runs a CrewAI project: kicks off its crew or its flow; the run's output is `{"raw", "json", "tasks_output"}`.

CrewAI 0.80 and later; what an older release does not tell is left out of the events.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import inspect
import json
from collections.abc import Callable
from typing import Any, NoReturn

from . import crewai_quiet
from .crewai_events import CrewEvents
from .crewai_files import OutputFiles
from .crewai_thread import Conversation
from .ending import Ending, Problem
from .jsonable import jsonable
from .reporter import Reporter

KINDS = "a class under @CrewBase, a Crew, a Flow, or a function that takes inputs or returns one of these"
NO_TERMINAL = (
    "somebody is asked for input, and a run has no terminal to ask at: do without human_input and human_feedback"
)
PAUSED = "the flow paused for human feedback, which a run cannot wait for"

prepare = crewai_quiet.prepare


def run(entry: Any, job: dict[str, Any], reporter: Reporter, ending: Ending) -> int:
    """Run the entrypoint's crew or flow to its ending; returns the exit status."""
    builtins.input = _no_terminal
    files = OutputFiles(job["app"], reporter)
    events = CrewEvents(reporter, files)
    events.listen()
    try:
        output = _converse(entry, job, reporter) if job["thread_id"] is not None else _kickoff(entry, job["input"])[0]
    finally:
        files.collect()
        events.finish()
    return ending.succeed(output)


def _converse(entry: Any, job: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """A run in a thread: what the thread knows goes in, what it knows then is told before the result."""
    conversation = Conversation(job, reporter)
    output, state = _kickoff(entry, conversation.inputs, conversation.added)
    conversation.end(output, state)
    return output


def _kickoff(entry: Any, inputs: Any, added: frozenset[str] = frozenset()) -> tuple[dict[str, Any], dict[str, Any]]:
    """The output, and the state that a flow ended with. Of `added` inputs a flow gets those that its state has."""
    made = _made(entry, inputs if isinstance(inputs, dict) else {})
    if not _can_kick_off(made):
        return _output(made), {}  # a function that did it all by itself
    state = getattr(made, "_state", None)
    fields = getattr(type(state), "model_fields", None)
    if fields is not None:
        inputs = {name: value for name, value in inputs.items() if name in fields or name not in added}
    for task in getattr(made, "tasks", None) or ():
        if getattr(task, "human_input", False):
            raise Problem(NO_TERMINAL)
    output = _output(_finished(made.kickoff(inputs=inputs or None)))
    return output, {} if state is None else _fields(getattr(made, "_state", None))


def _made(entry: Any, inputs: dict[str, Any]) -> Any:
    """What can be kicked off, from what the entrypoint is; or what its function returned."""
    if inspect.isclass(entry):
        entry = entry()
    elif inspect.isroutine(entry):
        entry = _called(entry, inputs)
        if not _can_kick_off(entry) and not callable(getattr(entry, "crew", None)):
            return entry
    if not _can_kick_off(entry) and callable(getattr(entry, "crew", None)):
        entry = entry.crew()
    if not _can_kick_off(entry):
        raise Problem(f"entrypoint: {type(entry).__name__} is not {KINDS}")
    return entry


def _can_kick_off(value: Any) -> bool:
    return callable(getattr(value, "kickoff", None)) and not inspect.isclass(value)


def _called(function: Callable[..., Any], inputs: dict[str, Any]) -> Any:
    """Call a project's function: with the inputs as one, or by the names that its parameters have."""
    parameters = inspect.signature(function).parameters.values()
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    required = [each for each in positional if each.default is each.empty]
    whole = next((each for each in positional if each.name == "inputs"), None)
    if whole is None and len(required) == 1 and required[0].name not in inputs:
        whole = required[0]
    if whole is not None:
        made = function(inputs) if whole is positional[0] else function(**{whole.name: inputs})
    else:
        missing = [each.name for each in named if each.default is each.empty and each.name not in inputs]
        if missing:
            raise Problem(f"the input lacks {', '.join(missing)}, which the entrypoint's function takes")
        made = function(**{each.name: inputs[each.name] for each in named if each.name in inputs})
    return asyncio.run(_awaited(made)) if inspect.isawaitable(made) else made


async def _awaited(value: Any) -> Any:
    return await value


def _finished(result: Any) -> Any:
    """The result of a kick-off; one that streams is read to its end, and one that waits for somebody is none."""
    if type(result).__name__ == "HumanFeedbackPending":
        raise Problem(PAUSED)
    if hasattr(result, "__next__") or (hasattr(result, "__iter__") and hasattr(type(result), "result")):
        for _ in result:  # its pieces are told as tokens
            pass
        return result.result if hasattr(result, "result") else None
    return result


def _output(result: Any) -> dict[str, Any]:
    """What a crew, a flow or a function gave, always in the same shape."""
    if hasattr(result, "raw") and hasattr(result, "tasks_output"):
        tasks = [_task_output(each) for each in result.tasks_output or ()]
        return {"raw": result.raw, "json": _structured(result), "tasks_output": tasks}
    if hasattr(result, "raw") and not isinstance(result, dict):  # of a single agent
        return {"raw": result.raw, "json": _structured(result), "tasks_output": []}
    if result is None or isinstance(result, str):
        return {"raw": result or "", "json": None, "tasks_output": []}
    value = jsonable(result)
    return {"raw": json.dumps(value, ensure_ascii=False), "json": value, "tasks_output": []}


def _task_output(task: Any) -> dict[str, Any]:
    told = {name: getattr(task, name, None) for name in ("name", "description", "agent", "raw")}
    return {**told, "json": _structured(task)}


def _structured(result: Any) -> Any:
    """The JSON or the model that a task was told to give; None where it was plain text."""
    found = getattr(result, "json_dict", None)
    return jsonable(getattr(result, "pydantic", None) if found is None else found)


def _fields(state: Any) -> dict[str, Any]:
    with contextlib.suppress(Exception):  # a state of the project's own making
        state = state if isinstance(state, dict) else state.model_dump()
    fields = jsonable(state)
    return {name: fields[name] for name in fields if name != "id"} if isinstance(fields, dict) else {}


def _no_terminal(prompt: object = "", /) -> NoReturn:
    raise Problem(NO_TERMINAL)
