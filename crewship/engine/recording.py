"""Writing what a run says: its output, and what its thread remembers, in one append each time."""

import asyncio

from crewship.blobs import BlobStore
from crewship.engine import protocol
from crewship.engine.conversation import Conversation
from crewship.engine.said import Said, said
from crewship.eventlog import Author, Change, EventLog, StreamMoved
from domain.errors import Unavailable
from domain.event import Mark, output_of
from domain.output import CheckpointReached, OutputAdopted, OutputEvent
from domain.thread import CheckpointSaved, StateEvent

EVENTS_AT_ONCE = 64
BYTES_AT_ONCE = 256 * 1024
PAUSE_SECONDS = 1.0


class TakenOver(Exception):
    """Somebody else writes this run's output now."""


class Recording:
    """The one writer of a run's output, and of its thread's memory while the run has the thread."""

    def __init__(
        self, log: EventLog, blobs: BlobStore, author: Author, run_id: str, conversation: Conversation | None
    ) -> None:
        self._log = log
        self._blobs = blobs
        self._author = author
        self._conversation = conversation
        self._output = output_of(run_id)
        self._at = 0
        self._heard = 0
        self._batch: list[Said] = []

    async def take_over(self, server_id: str, epoch: int) -> None:
        """Go on where a former life stopped; its next append would conflict."""
        self._at, mark = await self._log.end(self._output)
        self._heard = mark.line or 0
        adopted = OutputAdopted(server_id=server_id, epoch=epoch)
        await self._append([Change(self._output, self._at, [adopted], [Mark(line=self._heard)])])
        self._at += 1

    async def begin_again(self, server_id: str, epoch: int) -> None:
        """Go on behind what earlier attempts said; the lines of the next one are numbered from 1 again."""
        self._at, _ = await self._log.end(self._output)
        adopted = OutputAdopted(server_id=server_id, epoch=epoch)
        await self._append([Change(self._output, self._at, [adopted], [Mark(line=0)])])
        self._at += 1

    async def hear(self, line: protocol.Line, size: int) -> None:
        """Take a line in; it is in the log after the next `flush` at the latest. What is there is passed over."""
        mark = Mark(happened_at=line.at, line=line.number)
        # The conversation hears every line, since it must know also what a former life recorded.
        state = await self._conversation.event(line) if self._conversation else None
        if state is not None:
            self._batch.append(Said(state, mark, 0))
        if line.number <= self._heard:
            return
        self._heard = line.number
        if isinstance(state, CheckpointSaved) and not state.ns:
            reached = CheckpointReached(thread_id=state.thread_id, checkpoint_id=state.checkpoint_id)
            self._batch.append(Said(reached, mark, size))
        elif (event := await said(line, size, self._blobs)) is not None:
            self._batch.append(event)
        if len(self._batch) >= EVENTS_AT_ONCE or sum(event.size for event in self._batch) >= BYTES_AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        """Bring what was heard into the log."""
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        states = [(one.event, one.mark) for one in batch if isinstance(one.event, StateEvent)]
        outputs = [(one.event, one.mark) for one in batch if not isinstance(one.event, StateEvent)]
        changes = []
        if outputs:
            events: list[OutputEvent] = [event for event, _ in outputs]
            changes.append(Change(self._output, self._at, events, [mark for _, mark in outputs]))
        if states and self._conversation:
            memory = [event for event, _ in states]
            changes.append(self._conversation.change(memory, [mark for _, mark in states]))
            self._conversation.appended(memory)
        await self._append(changes)
        self._at += len(outputs)

    def final(self, events: list[OutputEvent]) -> Change:
        """The last of the output, for the append that ends the run."""
        return Change(self._output, self._at, events)

    def owns(self, stream: str) -> bool:
        """Whether nobody else should be writing to this stream."""
        return stream == self._output or (self._conversation is not None and self._conversation.owns(stream))

    async def _append(self, changes: list[Change]) -> None:
        """Append, waiting out a log that cannot be written; raises TakenOver if somebody else has."""
        unsure = False
        while True:
            try:
                await self._log.append(*changes, author=self._author, patient=True)
                return
            except Unavailable:
                if self._log.closing:
                    raise
                unsure = True  # a connection that broke at the commit leaves open whether it was made
                await asyncio.sleep(PAUSE_SECONDS)
            except StreamMoved as moved:
                if unsure and await self._landed(changes):
                    return
                raise TakenOver(str(moved)) from moved

    async def _landed(self, changes: list[Change]) -> bool:
        for change in changes:
            version, mark = await self._log.end(change.stream)
            expected = change.marks[-1] if change.marks else Mark()
            if version != change.at + len(change.events) or mark != expected:
                return False
        return True
