"""The checkpointer that a graph gets in a thread: it remembers in this process, and reports what it has to keep."""

from __future__ import annotations

import asyncio
import importlib
import math
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NamedTuple

from .ending import Problem, Unreadable
from .reporter import TooLarge
from .wire import EMPTY, Typed, pack, unpack

CANNOT_READ = "the thread's state cannot be read by this version of the project"

Older = Callable[["str | None", "str | None"], Iterator[dict[str, Any]]]  # (namespace, checkpoint's id) → as in a spec


class Saved(NamedTuple):
    """A checkpoint without the values of its channels; `writes` by task and place, as (path, channel, value)."""

    checkpoint: Typed
    metadata: Typed
    parent_id: str | None
    versions: dict[str, str]
    writes: dict[tuple[str, int], tuple[str, str, Typed]]


class ThreadSaver:
    """The methods of a LangGraph checkpointer; `saver_for` makes one of it.

    It knows the checkpoints that the run's spec gave and those that this run put. Older ones of its thread come from
    `older` when they are asked for. The latest of a namespace is the one that was put last, at first the head that the
    spec names. Channels are known by the text of their version; a checkpoint's bytes keep the versions as what they
    were. What is put for another thread is remembered and not reported.
    """

    serde: Any
    base: Any  # the module langgraph.checkpoint.base

    def __init__(
        self,
        thread_id: str | None = None,
        report: Callable[..., None] | None = None,
        state: Callable[[dict[str, Any]], Any] = dict,
        older: Older | None = None,
    ) -> None:
        super().__init__()
        self._older = older
        self._fetched: dict[tuple[str, str], dict[str, Saved]] = {}  # as _saved, of those that came from `older`
        self._thread_id, self._report, self._state = thread_id, report, state
        self._saved: dict[tuple[str, str], dict[str, Saved]] = {}  # (thread, namespace) → id → saved, the latest last
        self._channels: dict[tuple[str, str, str, str], Typed] = {}  # (thread, namespace, name, version) → value

    def load(self, thread: dict[str, Any]) -> None:
        """Take in the checkpoints of a spec. Raises Problem if they cannot be read, or the head is not among them."""
        head = thread.get("head")
        try:
            for each in sorted(thread.get("checkpoints") or [], key=lambda each: bool(each["checkpoint_id"] == head)):
                self._take(each, self._saved)
        except (KeyError, TypeError, ValueError) as error:
            raise Unreadable(f"{CANNOT_READ}: {error}") from error
        if head is not None and not self.knows(head):
            raise Unreadable(f"{CANNOT_READ}: its checkpoint {head} is missing")

    def knows(self, checkpoint_id: str) -> bool:
        """Whether this checkpoint of the graph itself is available."""
        return checkpoint_id in self._saved.get((str(self._thread_id), ""), {})

    def _take(self, given: dict[str, Any], known: dict[tuple[str, str], dict[str, Saved]]) -> Saved:
        thread_id, ns = str(self._thread_id), given["ns"]
        versions = {}
        for name, channel in given["channels"].items():
            versions[name] = channel["version"]
            (self._channels[thread_id, ns, name, channel["version"]],) = unpack(channel["data"])
        checkpoint, metadata = unpack(given["data"])
        saved = Saved(checkpoint, metadata, given.get("parent_id"), versions, {})
        known.setdefault((thread_id, ns), {})[given["checkpoint_id"]] = saved
        for task in given.get("writes") or []:
            writes = [(channel, unpack(data)[0]) for channel, data in task["writes"]]
            self._keep_writes(saved, writes, task["task_id"], task.get("task_path") or "")
        return saved

    def _find(self, place: tuple[str, str], checkpoint_id: str) -> Saved | None:
        """One checkpoint, from wherever it can be had."""
        if (known := self._known(place, checkpoint_id)) is not None:
            return known
        return next((saved for _, _, saved in self._older_ones(place[0], place[1], checkpoint_id)), None)

    def _known(self, place: tuple[str, str], checkpoint_id: str) -> Saved | None:
        return self._saved.get(place, {}).get(checkpoint_id) or self._fetched.get(place, {}).get(checkpoint_id)

    def _older_ones(
        self, thread_id: Any, ns: str | None = None, checkpoint_id: str | None = None
    ) -> Iterator[tuple[tuple[str, str], str, Saved]]:
        """Those of this run's thread that are not among the known ones, the latest first."""
        if self._older is None or thread_id not in (None, self._thread_id):
            return
        try:
            for each in self._older(ns, checkpoint_id):
                place = str(self._thread_id), each["ns"]
                if each["checkpoint_id"] not in self._saved.get(place, {}):
                    yield place, each["checkpoint_id"], self._take(each, self._fetched)
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise Problem(f"the thread's older checkpoints cannot be had: {error}") from error

    def _may_wait(self, config: Any) -> bool:
        """Whether an answer about this config may have to come from somewhere else."""
        wanted = config["configurable"] if config else {}
        if self._older is None or wanted.get("thread_id") not in (None, self._thread_id):
            return False
        checkpoint_id, place = wanted.get("checkpoint_id"), (str(self._thread_id), wanted.get("checkpoint_ns") or "")
        return checkpoint_id not in self._saved.get(place, {})

    # what LangGraph asks ---------------------------------------------------------------------------------------------

    def get_tuple(self, config: Any) -> Any:
        """The checkpoint that the config names, or the latest of its namespace; None where there is none."""
        wanted = config["configurable"]
        place = wanted["thread_id"], wanted.get("checkpoint_ns") or ""
        checkpoint_id = wanted.get("checkpoint_id") or next(reversed(list(self._saved.get(place, {}))), "")
        saved = self._find(place, checkpoint_id) if checkpoint_id else None
        return self._tuple(place, checkpoint_id, saved) if saved is not None else None

    def list(
        self,
        config: Any,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: Any = None,
        limit: int | None = None,
    ) -> Iterator[Any]:
        """The checkpoints that fit, the latest of a namespace first."""
        wanted = config["configurable"] if config else {}
        until = before["configurable"].get("checkpoint_id") if before else None
        left = math.inf if limit is None else limit
        for place, checkpoint_id, saved in self._candidates(wanted):
            if left < 1:
                return
            if wanted.get("checkpoint_id") not in (None, checkpoint_id) or (until and checkpoint_id >= until):
                continue
            metadata = self._loads("metadata", saved.metadata)
            if all(metadata.get(name) == value for name, value in (filter or {}).items()):
                left -= 1
                yield self._tuple(place, checkpoint_id, saved)

    def _candidates(self, wanted: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str, Saved]]:
        """Those of the config's thread and namespace, or of all."""
        thread_id, ns = wanted.get("thread_id"), wanted.get("checkpoint_ns")
        for place, known in [*self._saved.items()]:
            if thread_id in (None, place[0]) and ns in (None, place[1]):
                for checkpoint_id, saved in reversed([*known.items()]):
                    yield place, checkpoint_id, saved
        yield from self._older_ones(thread_id, ns, wanted.get("checkpoint_id"))

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Remember and report a checkpoint; its parent is the one that the config names."""
        given = config["configurable"]
        place = given["thread_id"], given.get("checkpoint_ns") or ""
        bare = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        values = checkpoint["channel_values"]
        for name, version in new_versions.items():
            dump = self._dumps(name, values[name]) if name in values else EMPTY
            self._channels[(*place, name, str(version))] = dump
        more = {name: value for name, value in self._metadata(config, metadata).items() if name != "writes"}
        saved = Saved(
            self._dumps("checkpoint", bare),
            self._dumps("metadata", more),
            given.get("checkpoint_id"),
            {name: str(version) for name, version in checkpoint["channel_versions"].items()},
            {},
        )
        known = self._saved.setdefault(place, {})
        known[checkpoint["id"]] = saved
        self._tell_checkpoint(place, checkpoint["id"], saved, metadata, values)
        return _config(place, checkpoint["id"])

    def put_writes(self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        """Remember and report what a task gave for the super-step behind a checkpoint."""
        given = config["configurable"]
        place = given["thread_id"], given.get("checkpoint_ns") or ""
        saved = self._find(place, given["checkpoint_id"])
        if saved is None:
            return
        dumped = [(channel, self._dumps(channel, value)) for channel, value in writes]
        if self._keep_writes(saved, dumped, task_id, task_path):
            told = [[channel, pack(dump)] for channel, dump in dumped]
            more = {"task_id": task_id, "task_path": task_path, "writes": told}
            self._tell("writes", place, checkpoint_id=given["checkpoint_id"], **more)

    def delete_thread(self, thread_id: str) -> None:
        """Forget a thread, here; its history stays with the server."""
        self._saved = {place: saved for place, saved in self._saved.items() if place[0] != thread_id}
        self._channels = {key: dump for key, dump in self._channels.items() if key[0] != thread_id}

    def get_next_version(self, current: Any, channel: Any) -> str:
        """Versions as LangGraph's own savers make them: a number that grows, and a part that is never the same."""
        last = int(current.split(".")[0]) if isinstance(current, str) else int(current or 0)
        return f"{last + 1:032}.{random.random():016}"  # noqa: S311 - nobody has to be unable to guess it

    async def aget_tuple(self, config: Any) -> Any:
        """As `get_tuple`."""
        given = config["configurable"]
        if given.get("checkpoint_id") and self._may_wait(config):
            return await asyncio.to_thread(self.get_tuple, config)
        return self.get_tuple(config)

    async def alist(self, config: Any, **more: Any) -> AsyncIterator[Any]:
        """As `list`."""
        found = self.list(config, **more)
        waits = self._may_wait(config)
        while (one := await asyncio.to_thread(next, found, None) if waits else next(found, None)) is not None:
            yield one

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """As `put`."""
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        self.put_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        self.delete_thread(thread_id)

    # how it is kept and told -----------------------------------------------------------------------------------------

    def _tuple(self, place: tuple[str, str], checkpoint_id: str, saved: Saved) -> Any:
        # The run starts from what it was given; what it only looks back at may be unreadable, and the thread is well.
        trouble = Unreadable if checkpoint_id in self._saved.get(place, {}) else Problem
        checkpoint = self._loads("checkpoint", saved.checkpoint, trouble)
        values = {}
        for name, version in checkpoint["channel_versions"].items():
            dump = self._channels.get((*place, name, str(version)), EMPTY)
            if dump[0] != EMPTY[0]:
                values[name] = self._loads(name, dump, trouble)
        ordered = sorted((path, task_id, idx) for (task_id, idx), (path, _, _) in saved.writes.items())
        writes = [(task_id, *saved.writes[task_id, idx][1:]) for _, task_id, idx in ordered]
        return self.base.CheckpointTuple(
            config=_config(place, checkpoint_id),
            checkpoint={**checkpoint, "channel_values": values},
            metadata=self._loads("metadata", saved.metadata, trouble),
            parent_config=_config(place, saved.parent_id) if saved.parent_id else None,
            pending_writes=[(task, channel, self._loads(channel, dump, trouble)) for task, channel, dump in writes],
        )

    def _keep_writes(self, saved: Saved, writes: Sequence[tuple[str, Typed]], task_id: str, path: str) -> bool:
        """Whether anything is new: a result stands, an error or an interrupt is replaced by a later one."""
        kept = False
        for at, (channel, dump) in enumerate(writes):
            idx = self.base.WRITES_IDX_MAP.get(channel, at)
            if idx < 0 or (task_id, idx) not in saved.writes:
                saved.writes[task_id, idx] = path, channel, dump
                kept = True
        return kept

    def _tell_checkpoint(
        self, place: tuple[str, str], checkpoint_id: str, saved: Saved, metadata: Any, values: dict[str, Any]
    ) -> None:
        """Channels are sent where the parent does not have them in this version, so that parent and report are all."""
        parent = self._known(place, saved.parent_id or "")
        before = parent.versions if parent else {}
        fresh = {}
        for name, version in saved.versions.items():
            dump = self._channels.get((*place, name, version))
            if dump is not None and before.get(name) != version:
                fresh[name] = {"version": version, "data": pack(dump)}
        self._tell(
            "checkpoint",
            place,
            checkpoint_id=checkpoint_id,
            parent_id=saved.parent_id,
            step=metadata.get("step"),
            source=metadata.get("source"),
            data=pack(saved.checkpoint, saved.metadata),
            channels=fresh,
            versions=saved.versions,
            values=None if place[1] else self._state(values),
        )

    def _tell(self, kind: str, place: tuple[str, str], **fields: Any) -> None:
        if self._report is not None and place[0] == self._thread_id:
            try:
                self._report(kind, ns=place[1], **fields)
            except TooLarge as error:
                raise Problem(str(error)) from None

    def _metadata(self, config: Any, metadata: Any) -> dict[str, Any]:
        merge = getattr(self.base, "get_checkpoint_metadata", None)
        return dict(merge(config, metadata) if merge else metadata)

    def _dumps(self, name: str, value: Any) -> Typed:
        try:
            kind, data = self.serde.dumps_typed(value)
        except Exception as error:
            raise Problem(f"the thread cannot keep {name!r} of the graph's state: {error}") from error
        return kind, bytes(data)

    def _loads(self, name: str, dump: Typed, trouble: type[Problem] = Problem) -> Any:
        try:
            return self.serde.loads_typed(dump)
        except Exception as error:
            raise trouble(f"{CANNOT_READ}: {name!r}: {error}") from error


def saver_for(*arguments: Any) -> Any:
    """A checkpointer of the LangGraph that is installed; `arguments` as ThreadSaver takes them."""
    base = importlib.import_module("langgraph.checkpoint.base")
    return type("CrewshipSaver", (ThreadSaver, base.BaseCheckpointSaver), {"base": base})(*arguments)


def _config(place: tuple[str, str], checkpoint_id: str) -> dict[str, Any]:
    thread_id, ns = place
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
