"""A LangGraph graph in a thread: with our checkpointer, from where the thread stands, to where it stands then."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
from functools import partial
from typing import Any

from . import older
from .ending import Problem
from .reporter import Reporter, TooLarge
from .saver import saver_for

_ANSWERABLE = re.compile("[0-9a-f]{32}")  # the ids by which LangGraph takes answers

COPY = "__copy__"  # the node as which LangGraph puts a checkpoint again


class Conversation:
    """Gives the graph a checkpointer in the place of its own, and knows what to ask it for this run.

    Raises Problem where the spec's checkpoints cannot be read.
    """

    def __init__(self, graph: Any, job: dict[str, Any], reporter: Reporter) -> None:
        self._graph, self._job, self._reporter = graph, job, reporter
        self._thread: dict[str, Any] = job.get("thread") or {}
        self._saver = saver_for(job["thread_id"], reporter.keep, lambda values: _state(graph, values), self._older())
        self._saver.load(self._thread)
        graph.checkpointer = self._saver
        _snapshot_always(graph)

    def _older(self) -> Any:
        """Where the checkpoints come from that lie further back than the head."""
        if self._thread.get("older") is not None:
            return partial(older.given, self._thread)
        return partial(older.asked, self._job["thread_id"]) if self._thread.get("head") else None

    @property
    def configurable(self) -> dict[str, Any]:
        """Of the run's config; the saver's latest checkpoint is the head, so that none has to be named."""
        return {"thread_id": self._job["thread_id"], "checkpoint_ns": ""}

    @property
    def options(self) -> dict[str, Any]:
        """For `stream`: a super-step is reported before the next begins, where this release offers that."""
        known = inspect.signature(self._graph.stream).parameters
        if "durability" in known:
            return {"durability": "sync"}
        return {"checkpoint_during": True} if "checkpoint_during" in known else {}

    async def input(self) -> Any:
        """An answer, or the run's input; the values of a thread that no graph has run in yet lie below it."""
        resume = self._job.get("resume")
        if resume is None:
            return self._below(self._job["input"])
        state = await self._graph.aget_state({"configurable": self.configurable})
        asked = [each["id"] for each in _interrupts(state)]
        answer = resume.get("value")
        if answer is None and not asked:
            return None  # a breakpoint: to go on is all
        return _command(_fitting(answer, asked))

    def _below(self, given: Any) -> Any:
        values = self._thread.get("values")
        if self._thread.get("head") is not None or not isinstance(values, dict):
            return given
        return {**values, **(given if isinstance(given, dict) else {})} if values else given

    async def end(self, values: Any, interrupted: bool) -> Any:
        """The run's result; what the graph asks is reported before it."""
        if values is not None and not interrupted:
            return values
        state = await self._graph.aget_state({"configurable": self.configurable})
        if interrupted:
            try:
                self._reporter.keep("interrupted", interrupts=_interrupts(state))
            except TooLarge as error:
                raise Problem(str(error)) from None
        return state.values if values is None else values

    async def update(self) -> Any:
        """Put a checkpoint by hand, as LangGraph's `update_state` does; the values that are the state then."""
        update = self._job.get("update") or {}
        values, as_node, checkpoint_id = (update.get(name) for name in ("values", "as_node", "checkpoint_id"))
        configurable = self.configurable
        if checkpoint_id is not None:
            if not self._saver.knows(checkpoint_id):
                raise Problem(f"checkpoint {checkpoint_id} of the thread is not available to this run")
            configurable["checkpoint_id"] = checkpoint_id
        if values is None:
            as_node = as_node or COPY
        else:
            values = self._below(values)
        await self._graph.aupdate_state({"configurable": configurable}, values, as_node=as_node)
        return (await self._graph.aget_state({"configurable": self.configurable})).values


def _fitting(answer: Any, asked: list[str]) -> Any:
    """The answer in a form that this release takes for what it is: null needs an id, and old ones know no ids."""
    by_id = all(_ANSWERABLE.fullmatch(each) for each in asked)
    if answer is None and len(asked) > 1:
        raise Problem(f"{len(asked)} questions wait: resume must be an object of answers by interrupt id")
    if answer is None:
        if not by_id:
            raise Problem("this release of LangGraph cannot be answered with null")
        return {asked[0]: None}
    if not by_id and isinstance(answer, dict) and answer and answer.keys() <= set(asked):
        if len(asked) > 1:
            raise Problem("this release of LangGraph cannot be answered several questions by their ids")
        return answer[asked[0]]
    return answer


def _command(answer: Any) -> Any:
    command = getattr(importlib.import_module("langgraph.types"), "Command", None)
    if command is None:
        raise Problem("this release of LangGraph cannot resume; it is there from 0.2.57 on")
    return command(resume=answer)


def _interrupts(state: Any) -> list[dict[str, Any]]:
    """All that is asked and not answered, with ids by which it can be answered where the release has such."""
    found = [each for task in state.tasks for each in getattr(task, "interrupts", ())]
    return [{"id": _id(each), "value": getattr(each, "value", None)} for each in found]


def _id(interrupt: Any) -> str:
    known = getattr(interrupt, "id", None) or getattr(interrupt, "interrupt_id", None)
    return str(known or "|".join(getattr(interrupt, "ns", None) or ()))


def _state(graph: Any, values: dict[str, Any]) -> Any:
    """The state as `get_state` shows it, from the values that a checkpoint has for the channels."""
    names = graph.stream_channels_asis
    if isinstance(names, str):
        return _value(graph, names, values).get(names)
    state: dict[str, Any] = {}
    for name in names:
        state.update(_value(graph, name, values))
    return state


def _value(graph: Any, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The value by its name; nothing for a channel that is empty."""
    if name not in values:
        return {}
    try:
        return {name: graph.channels[name].from_checkpoint(values[name]).get()}
    except Exception as error:
        return {} if type(error).__name__ == "EmptyChannelError" else {name: values[name]}


def _snapshot_always(graph: Any) -> None:
    """Channels that would be told as differences are told whole: the next run gets the head, not all before it."""
    graphs = [graph]
    with contextlib.suppress(Exception):  # an older release, or another kind of runnable
        graphs += [inner for _, inner in graph.get_subgraphs(recurse=True)]
    for each in graphs:
        for channel in getattr(each, "channels", {}).values():
            if hasattr(channel, "snapshot_frequency"):
                channel.snapshot_frequency = 1
