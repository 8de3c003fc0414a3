"""A thread as the server keeps it, for tests of the runner."""

import base64
from textwrap import dedent

from crewship.engine.protocol import Checkpoint, Exit, Result, Writes

STATE = """
    import asyncio, operator, os, sys, time
    from typing import Annotated, Any, TypedDict
    from langgraph.graph import END, START, StateGraph, MessagesState
    from langgraph.checkpoint.memory import MemorySaver
    from langgraph.types import Command, interrupt
    class State(TypedDict, total=False):
        x: Any
        seen: Annotated[list, operator.add]
    def chain(*nodes, state=State):
        graph = StateGraph(state)
        for name, node in nodes:
            graph.add_node(name, node)
        names = [START, *(name for name, _ in nodes), END]
        for before, after in zip(names, names[1:]):
            graph.add_edge(before, after)
        return graph
    def parallel(*nodes, state=State):
        graph = StateGraph(state)
        for name, node in nodes:
            graph.add_node(name, node)
            graph.add_edge(START, name)
        return graph
"""


class Thread:
    """A thread as the server keeps it: what was reported, put together, and never looked into."""

    def __init__(self, make, python):
        self._make, self._python = make, python
        self.code = ""
        self.saved = {}  # (ns, id) → a checkpoint as the spec wants it
        self.head = None
        self.values = None
        self.messages = []

    def start(self, **changes):
        """A process of its own that is given the head and the latest checkpoint of each namespace."""
        guard = self._make()
        latest = {ns: each for (ns, _), each in self.saved.items() if ns}
        given = [self.saved["", self.head], *latest.values()] if self.head else []
        thread = {"values": self.values, "checkpoints": given, "head": self.head}
        changes = {"thread_id": "thr_1", "thread": thread, "input": None, "mode": "run", **changes}
        self.launch(guard, changes)
        return guard

    def launch(self, guard, changes):
        """Start the guard over a project with our code."""
        (guard.app / "graph.py").write_text(dedent(STATE) + dedent(self.code))
        guard.start(guard.spec(**changes), python=self._python)

    def run(self, code_of_exit=0, **changes):
        """Run to the end; the last words."""
        guard = self.start(**changes)
        exit_line = guard.end()
        self.messages = guard.messages()[2:-1]
        assert exit_line == Exit(code=code_of_exit), self.messages
        if not code_of_exit:
            self.hear(guard)
        return self.messages[-1]

    def hear(self, guard):
        for told in guard.messages(Checkpoint, Writes):
            if isinstance(told, Writes):
                task = {"task_id": told.task_id, "task_path": told.task_path, "writes": told.writes}
                self.saved[told.ns, told.checkpoint_id]["writes"].append(task)
                continue
            before = self.saved.get((told.ns, told.parent_id), {"channels": {}})["channels"]
            fresh = {
                name: {"version": channel.version, "data": base64.b64encode(channel.data).decode()}
                for name, channel in told.channels.items()
            }
            channels = {name: fresh.get(name) or before[name] for name in told.versions}
            assert {name: channel["version"] for name, channel in channels.items()} == told.versions
            self.saved[told.ns, told.checkpoint_id] = {
                "ns": told.ns,
                "checkpoint_id": told.checkpoint_id,
                "parent_id": told.parent_id,
                "data": base64.b64encode(told.data).decode(),
                "channels": channels,
                "writes": [],
            }
            if not told.ns:
                self.head, self.values = told.checkpoint_id, told.values

    def told(self, *kinds):
        return [message for message in self.messages if isinstance(message, kinds)]

    def asked(self):
        """What the run asked; it is told right before the result."""
        assert isinstance(self.messages[-1], Result)
        return self.messages[-2].interrupts

    def update(self, values, as_node=None, checkpoint_id=None, code_of_exit=0):
        update = {"values": values, "as_node": as_node, "checkpoint_id": checkpoint_id}
        return self.run(code_of_exit, mode="update_state", update=update)
