"""What happens in CrewAI as reports, in the order in which it happens.

CrewAI's bus calls its listeners from a pool of threads, in any order. So this one hears an event where it is emitted.
Releases before 0.105 have no bus; of them it hears agents and tools where they are called.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import inspect
import json
from collections.abc import Callable
from typing import Any

from .crewai_files import OutputFiles
from .failures import message_of
from .reporter import Reporter

_BUSES = ("crewai.events.event_bus", "crewai.utilities.events.crewai_event_bus", "crewai.utilities.events")
_FLUSH = 10.0  # seconds for what CrewAI's own listeners still have to print

_speaker: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("speaker", default=())


class CrewEvents:
    """Hears one run, from any thread. Whatever it does not understand is no reason for the run to fail."""

    def __init__(self, reporter: Reporter, files: OutputFiles) -> None:
        self._reporter = reporter
        self._files = files
        self._open: dict[Any, tuple[str, str]] = {}  # who is at work on what → their names
        self._failed: set[Any] = set()  # tasks whose failure was told
        self._bus: Any = None
        self._heard: dict[str, Callable[[Any, Any], None]] = {
            "agent_execution_started": self._agent_started,
            "agent_execution_completed": self._agent_completed,
            "agent_execution_error": self._agent_failed,
            "lite_agent_execution_started": self._lone_agent_started,
            "lite_agent_execution_completed": self._lone_agent_completed,
            "lite_agent_execution_error": self._lone_agent_failed,
            "method_execution_started": self._method_started,
            "method_execution_finished": self._method_finished,
            "method_execution_failed": self._method_failed,
            "task_started": self._task_known,
            "task_completed": self._task_completed,
            "task_failed": self._task_failed,
            "tool_usage_started": self._tool_called,
            "tool_usage_finished": self._tool_finished,
            "tool_usage_error": self._tool_failed,
            "tool_validate_input_error": self._tool_failed,
            "tool_selection_error": self._tool_failed,
            "llm_stream_chunk": self._token,
            "llm_guardrail_completed": self._guarded,
            "llm_guardrail_failed": self._guarded,
        }

    def listen(self) -> None:
        """Begin to hear."""
        for name in _BUSES:
            with contextlib.suppress(ImportError, AttributeError):
                self._bus = importlib.import_module(name).crewai_event_bus
                break
        else:
            _listen_without_bus(self._reporter, self._files)
            return
        kind = type(self._bus)
        kind.emit = _hearing(kind.emit, self._hear)
        if hasattr(kind, "aemit"):
            kind.aemit = _hearing(kind.aemit, self._hear)

    def finish(self) -> None:
        """Wait until CrewAI has printed what it has to say."""
        with contextlib.suppress(Exception):
            self._bus.flush(timeout=_FLUSH)  # not every release has it

    def _hear(self, source: Any, event: Any) -> None:
        understood = self._heard.get(str(getattr(event, "type", "")))
        if understood is not None:
            with contextlib.suppress(Exception):  # another release, another shape: fewer events
                understood(source, event)

    # agents ----------------------------------------------------------------------------------------------------------

    def _agent_started(self, source: Any, event: Any) -> None:
        self._task_known(source, event)
        self._begin((event.agent, event.task), _role(event.agent), _task(event.task))

    def _agent_completed(self, source: Any, event: Any) -> None:
        self._complete((event.agent, event.task), event.output)

    def _agent_failed(self, source: Any, event: Any) -> None:
        self._failed.add(_key((event.task,)))
        self._fail((event.agent, event.task), _role(event.agent), event.error)

    def _lone_agent_started(self, source: Any, event: Any) -> None:
        self._begin((source,), str(event.agent_info.get("role", "agent")), _asked(event.messages))

    def _lone_agent_completed(self, source: Any, event: Any) -> None:
        self._complete((source,), event.output)

    def _lone_agent_failed(self, source: Any, event: Any) -> None:
        self._fail((source,), str(event.agent_info.get("role", "agent")), event.error)

    def _method_started(self, source: Any, event: Any) -> None:
        text = (inspect.getdoc(getattr(type(source), event.method_name, None)) or "").strip()
        self._begin((source, event.method_name), event.method_name, text.partition("\n")[0] or event.method_name)

    def _method_finished(self, source: Any, event: Any) -> None:
        self._complete((source, event.method_name), getattr(event.result, "raw", event.result))

    def _method_failed(self, source: Any, event: Any) -> None:
        self._fail((source, event.method_name), event.method_name, event.error)

    def _begin(self, who: tuple[Any, ...], agent: str, task: str) -> None:
        """One starts. A retry of CrewAI's own starts again without an end before it, and is not told."""
        if _key(who) not in self._open:
            self._open[_key(who)] = agent, task
            _speaker.set((*_speaker.get(), agent))
            self._reporter.report("agent.started", agent=agent, task=task)

    def _complete(self, who: tuple[Any, ...], output: Any) -> None:
        known = self._open.pop(_key(who), None)
        if known is not None:
            agent, task = known
            _speaker.set(_speaker.get()[:-1])
            self._reporter.report("agent.completed", agent=agent, task=task, output=output)

    def _fail(self, who: tuple[Any, ...], agent: str, error: Any) -> None:
        if self._open.pop(_key(who), None) is not None:
            _speaker.set(_speaker.get()[:-1])
        self._reporter.report("agent.error", agent=agent, error=_said(error))

    # tasks -----------------------------------------------------------------------------------------------------------

    def _task_known(self, source: Any, event: Any) -> None:
        self._files.expect(getattr(event, "task", None) or source)

    def _task_completed(self, source: Any, event: Any) -> None:
        self._files.collect()

    def _task_failed(self, source: Any, event: Any) -> None:
        """A task fails with its agent, which is told already, or because its output was refused."""
        task = getattr(event, "task", None) or source
        if _key((task,)) not in self._failed:
            self._fail((task.agent, task), _role(task.agent), event.error)

    def _guarded(self, source: Any, event: Any) -> None:
        if not getattr(event, "success", False):
            why = str(getattr(event, "error", None) or getattr(event, "result", None) or "no reason given")
            self._reporter.log("warning", f"A guardrail refused the task's output: {why}", "runner")

    # tools and models ------------------------------------------------------------------------------------------------

    def _tool_called(self, source: Any, event: Any) -> None:
        self._reporter.report("tool.called", tool=event.tool_name, input=_arguments(event.tool_args))

    def _tool_finished(self, source: Any, event: Any) -> None:
        self._reporter.report("tool.result", tool=event.tool_name, output=getattr(event, "output", None))

    def _tool_failed(self, source: Any, event: Any) -> None:
        self._reporter.report("tool.error", tool=event.tool_name, error=_said(event.error))

    def _token(self, source: Any, event: Any) -> None:
        if event.chunk and getattr(event, "tool_call", None) is None:
            agent = getattr(event, "agent_role", None) or (_speaker.get() or ("",))[-1]
            self._reporter.report("token", agent=agent.strip(), text=event.chunk)


def _listen_without_bus(reporter: Reporter, files: OutputFiles) -> None:
    """Hear agents and tools of a release before 0.105."""

    def agent_started(agent: Any, task: Any, *_: Any) -> Callable[[Any], None]:
        files.expect(task)
        names = {"agent": _role(agent), "task": _task(task)}
        reporter.report("agent.started", **names)
        return lambda output: reporter.report("agent.completed", **names, output=output)

    def agent_failed(error: BaseException, agent: Any, *_: Any) -> None:
        reporter.report("agent.error", agent=_role(agent), error=message_of(error))

    def tool_called(usage: Any, tool_string: Any, tool: Any, calling: Any, *_: Any) -> Callable[[Any], None]:
        reporter.report("tool.called", tool=tool.name, input=_arguments(calling.arguments))
        return lambda output: reporter.report("tool.result", tool=tool.name, output=output)

    def tool_failed(error: BaseException, usage: Any, tool_string: Any, tool: Any, *_: Any) -> None:
        reporter.report("tool.error", tool=tool.name, error=message_of(error))

    for module, kind, method, told, failed in (
        ("crewai.agent", "Agent", "execute_task", agent_started, agent_failed),
        ("crewai.tools.tool_usage", "ToolUsage", "_use", tool_called, tool_failed),
    ):
        with contextlib.suppress(ImportError, AttributeError):
            owner = getattr(importlib.import_module(module), kind)
            setattr(owner, method, _told(getattr(owner, method), told, failed))


def _told(original: Any, told: Callable[..., Callable[[Any], None]], failed: Callable[..., None]) -> Any:
    """The function, with what is told as it begins and as it ends; a call inside of itself is a retry, not told."""
    within = contextvars.ContextVar("within", default=False)

    @functools.wraps(original)
    def call(*arguments: Any, **named: Any) -> Any:
        if within.get():
            return original(*arguments, **named)
        token = within.set(True)
        end: Callable[[Any], None] = _nothing
        with contextlib.suppress(Exception):
            end = told(*arguments, *named.values())
        try:
            output = original(*arguments, **named)
        except Exception as error:
            with contextlib.suppress(Exception):
                failed(error, *arguments, *named.values())
            raise
        finally:
            within.reset(token)
        end(output)
        return output

    return call


def _nothing(_: Any) -> None:
    pass


def _hearing(original: Any, hear: Callable[[Any, Any], None]) -> Any:
    @functools.wraps(original)
    def emit(bus: Any, source: Any, event: Any, *more: Any, **named: Any) -> Any:
        hear(source, event)
        return original(bus, source, event, *more, **named)

    return emit


def _key(who: tuple[Any, ...]) -> tuple[Any, ...]:
    """Agents and tasks are copied on the way, and keep their ids."""
    return tuple(each if isinstance(each, str) else str(getattr(each, "id", None) or id(each)) for each in who)


def _role(agent: Any) -> str:
    return " ".join(str(getattr(agent, "role", None) or "agent").split())


def _task(task: Any) -> str:
    return " ".join(str(getattr(task, "description", None) or getattr(task, "name", None) or "").split())


def _asked(messages: Any) -> str:
    """The last message of those that an agent was given outside of any task."""
    last = messages[-1] if isinstance(messages, list) and messages else messages
    return " ".join(str(last.get("content", "") if isinstance(last, dict) else last).split())


def _arguments(arguments: Any) -> Any:
    """A tool's arguments by name; models write them as JSON."""
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError):
            return json.loads(arguments)
    return arguments


def _said(error: Any) -> str:
    return message_of(error) if isinstance(error, BaseException) else str(error)
