"""What a run has to do with its thread: what it may start from, what it adds to the memory, how it leaves it."""

from collections.abc import Iterable
from typing import Any

import msgspec

from crewship.blobs import BlobStore
from crewship.commands import checkpoints, threads
from crewship.commands.values import keep
from crewship.engine import protocol
from crewship.eventlog import Change, EventLog
from domain import thread as rules
from domain.event import Mark
from domain.run import Run
from domain.thread import Channel, CheckpointSaved, Interrupt, Memory, Saved, StateEvent, StateSet, WritesSaved

OLDER_BYTES = 32 * 1024 * 1024


class StateGone(Exception):
    """What a thread remembers is not there any more."""


class Conversation:
    """The thread of one run, seen from its supervisor: the one writer of the thread's memory while the run has it."""

    def __init__(self, log: EventLog, blobs: BlobStore, run: Run, thread_id: str) -> None:
        self._log = log
        self._blobs = blobs
        self._run = run
        self._thread_id = thread_id
        self._stream = rules.state_of(thread_id)
        self._memory = Memory()
        self._at = 0
        self._channels: dict[tuple[str, str], dict[str, Channel]] = {}
        self._last: CheckpointSaved | None = None
        self._told: dict[str, Any] | None = None
        self.interrupts: list[Interrupt] | None = None

    async def open(self) -> None:
        """Read what the thread remembers."""
        self._memory, self._at = await threads.memory_of(self._log, self._thread_id)
        self._channels = {place: saved.channels for place, saved in self._memory.saved.items()}

    # what a run starts from ------------------------------------------------------------------------------------------

    async def spec(self, *, closed: bool) -> dict[str, Any]:
        """The thread's part of a run's spec: the checkpoint to start from, and what was asked.

        Older checkpoints are asked for with the run's key; where the network is `closed` they are given, at most
        OLDER_BYTES of them. Raises StateGone.
        """
        try:
            return await self._part(closed)
        except OSError as fault:
            raise StateGone(f"The thread's state cannot be used: its bytes are gone ({fault})") from fault

    async def _part(self, closed: bool) -> dict[str, Any]:
        thread, _ = await threads.find(self._log, self._thread_id)
        update = self._run.update
        named = update.checkpoint_id if update else None
        named = self._memory.states.get(named, named) if named else None
        head = named or self._memory.head
        wanted = [self._memory.saved[("", head)]] if head and ("", head) in self._memory.saved else []
        if wanted and not named:
            wanted += self._nested(wanted[0], asked=thread.asked is not None)
        part: dict[str, Any] = {
            "thread_id": self._thread_id,
            "thread": {
                "values": await threads.values_of(self._blobs, self._memory),
                "checkpoints": [await checkpoints.pack(self._blobs, self._memory, saved) for saved in wanted],
                "head": head if wanted else None,
                "older": await self._older() if closed else None,
            },
            "mode": "run" if self._run.kind == "run" else "update_state",
        }
        if self._run.resume is not None:
            part["resume"] = {"value": self._run.resume.value}
        if update is not None:
            part["update"] = {"values": update.values, "as_node": update.as_node, "checkpoint_id": named}
        return part

    async def _older(self) -> list[dict[str, Any]]:
        many = len(self._memory.saved)
        page = await checkpoints.page(self._blobs, self._memory, limit=many, most_bytes=OLDER_BYTES)
        return page.checkpoints

    def _nested(self, head: Saved, *, asked: bool) -> list[Saved]:
        """The latest checkpoint of each subgraph that a run goes on in.

        One with a task's name in its namespace is in use only while its graph waits for an answer, and then not older
        than the head; one with a memory of its own always is.
        """
        latest: dict[str, Saved] = {}
        reached = False
        for saved in self._memory.saved.values():
            reached = reached or saved.run_id == head.run_id
            lasting = ":" not in saved.ns
            if saved.ns and saved.run_id in self._memory.good and (lasting or (asked and reached)):
                latest[saved.ns] = saved
        return list(latest.values())

    # what a run adds -------------------------------------------------------------------------------------------------

    async def event(self, line: protocol.Line) -> StateEvent | None:
        """The event of a line that tells of the graph's state; None for any other, and for one that is recorded."""
        if isinstance(line.message, protocol.Values):
            self._told = line.message.values
            return None
        told = isinstance(line.message, protocol.Checkpoint | protocol.Writes | protocol.Interrupted)
        if not told:
            return None
        if isinstance(line.message, protocol.Interrupted):
            self.interrupts = [Interrupt(id=one.id, value=one.value) for one in line.message.interrupts]
            return None
        memory = self._memory
        heard = memory.last_run == self._run.id and memory.last_attempt == self._run.attempt
        known = heard and line.number <= memory.said
        if isinstance(line.message, protocol.Checkpoint):
            saved = await self._checkpoint(line.message, line.number)
            return None if known else saved
        assert isinstance(line.message, protocol.Writes)
        return None if known else await self._writes(line.message, line.number)

    async def _checkpoint(self, told: protocol.Checkpoint, line: int) -> CheckpointSaved:
        fresh = {
            name: Channel(version=channel.version, sha256=(await self._blobs.put(channel.data)).sha256)
            for name, channel in told.channels.items()
        }
        before = self._channels.get((told.ns, told.parent_id or ""), {})
        channels = {name: fresh.get(name) or before[name] for name in told.versions if name in fresh or name in before}
        values, stored = await keep(self._blobs, told.values)
        saved = CheckpointSaved(
            thread_id=self._thread_id,
            run_id=self._run.id,
            line=line,
            ns=told.ns,
            checkpoint_id=told.checkpoint_id,
            sha256=(await self._blobs.put(told.data)).sha256,
            channels=channels,
            parent_id=told.parent_id,
            step=told.step,
            source=told.source,
            values=values,
            stored_values=stored,
            attempt=self._run.attempt,
        )
        self._channels[(told.ns, told.checkpoint_id)] = channels
        if not told.ns:
            self._last = saved
        return saved

    async def _writes(self, told: protocol.Writes, line: int) -> WritesSaved:
        kept = {"task_id": told.task_id, "task_path": told.task_path, "writes": told.writes}
        blob = await self._blobs.put(msgspec.json.encode(kept))
        return WritesSaved(
            thread_id=self._thread_id,
            run_id=self._run.id,
            line=line,
            ns=told.ns,
            checkpoint_id=told.checkpoint_id,
            task_id=told.task_id,
            sha256=blob.sha256,
            attempt=self._run.attempt,
        )

    def change(self, events: list[StateEvent], marks: list[Mark]) -> Change:
        """What the memory gains; to be appended in the order in which it was asked for."""
        return Change(self._stream, self._at, events, marks)

    def appended(self, events: Iterable[StateEvent]) -> None:
        """These are in the log now."""
        self._at += len(list(events))

    # how a run leaves it ---------------------------------------------------------------------------------------------

    async def ending(self, succeeded: bool, result: Any, *, unusable: bool = False) -> list[Change]:
        """What the end of the run changes about the thread, for the same append as the end itself.

        `unusable`: the run could not start from the thread's state.
        """
        changes: list[Change] = []
        if succeeded and (state := await self._state(result)) is not None:
            changes.append(Change(self._stream, self._at, [state]))
        asked = self.interrupts if succeeded else None
        if self._run.kind == "edit" and succeeded:
            thread, _ = await threads.find(self._log, self._thread_id)
            asked = list(thread.asked) if thread.asked is not None else None
        changes += await threads.leaving(self._log, self._run, succeeded=succeeded, interrupts=asked, unusable=unusable)
        return changes

    async def _state(self, result: Any) -> StateSet | None:
        """The thread's new values: of the graph's last checkpoint, as a crew told them, or a result that is a state."""
        newest = self._memory.newest
        known = StateSet(
            thread_id=self._thread_id,
            checkpoint_id=f"chk_{self._run.id.removeprefix('run_')}",
            source="edit" if self._run.kind == "edit" else "run",
            run_id=self._run.id,
            parent_id=newest.checkpoint_id if newest else None,
        )
        if self._last is not None:
            last = self._last
            return msgspec.structs.replace(
                known,
                checkpoint_id=last.checkpoint_id,
                graph_checkpoint=last.checkpoint_id,
                values=last.values if isinstance(last.values, dict) or last.stored_values else {"value": last.values},
                stored_values=last.stored_values,
            )
        if self._told is not None:
            values, stored = await keep(self._blobs, self._told)
            return msgspec.structs.replace(known, values=values, stored_values=stored)
        if not isinstance(result, dict):
            return None
        # Stopped to ask again before the graph got any further: it goes on from where it was.
        values, stored = await keep(self._blobs, result)
        return msgspec.structs.replace(known, graph_checkpoint=self._memory.head, values=values, stored_values=stored)

    def owns(self, stream: str) -> bool:
        """Whether nobody but the run's supervisor should be writing to this stream."""
        return stream == self._stream
