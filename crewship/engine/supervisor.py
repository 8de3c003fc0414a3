"""Sees one run through: sandbox up, what it says into the log, and one terminal event at the very end."""

import asyncio
import mimetypes
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from crewship import clock, measures
from crewship.blobs import BlobStore
from crewship.commands import deployments, runs, threads
from crewship.commands.deciding import insist
from crewship.commands.keys import Keys
from crewship.commands.values import keep
from crewship.engine import protocol, specs
from crewship.engine.builder import order_of
from crewship.engine.conversation import Conversation, StateGone
from crewship.engine.executor import Executor, Launch, LaunchFailed, Sandbox
from crewship.engine.recording import PAUSE_SECONDS, Recording, TakenOver
from crewship.engine.specs import GRACE_SECONDS
from crewship.engine.verdict import LastWords, judge
from crewship.engine.warmth import Place, Warmth
from crewship.eventlog import Author, Change, EventLog, StreamMoved
from domain import run as rules
from domain.errors import DomainError, Unavailable
from domain.output import ArtifactCollected, LogWritten, OutputEvent, Stored
from domain.run import Run

OVERTIME_SECONDS = 30.0
COLLECT_SECONDS = 60.0

logger = structlog.get_logger(__name__)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor works with; one for all of them."""

    log: EventLog
    blobs: BlobStore
    keys: Keys
    executor: Executor
    warmth: Warmth
    server_id: str
    epoch: int
    api_url: str


class Supervisor:
    """The one writer of a run's output, and the one who ends it once it has begun."""

    def __init__(self, parts: Parts, run_id: str) -> None:
        self._parts = parts
        self._log = parts.log
        self._run_id = run_id
        self._author = Author(by=f"server:{parts.server_id}", cause=run_id)
        self._conversation: Conversation | None = None
        self._words = LastWords()
        self._sandbox: Sandbox | None = None

    async def run(self) -> None:
        """See the run through, from wherever it stands."""
        run, _ = await runs.get(self._log, self._run_id)
        if run.finished or run.server_id not in (None, self._parts.server_id):
            return
        version, _ = await deployments.version(self._log, run.version_id)
        self._manifest = specs.manifest_of(version)
        if run.thread_id is not None:
            self._conversation = Conversation(self._log, self._parts.blobs, run, run.thread_id)
            await self._conversation.open()
        self._recording = Recording(self._log, self._parts.blobs, self._author, run.id, self._conversation)
        sandbox = await self._found(run)
        if run.status == "running" and sandbox is None:
            await self._fail("lost", "The sandbox was gone when the server came back")
            return
        if sandbox is None:
            sandbox = await self._launch(version)
        else:
            await self._recording.take_over(self._parts.server_id, self._parts.epoch)
        if sandbox is not None:
            self._sandbox = sandbox
            await self._attend(sandbox)
            await self._end(sandbox)
            await sandbox.remove()

    async def _found(self, run: Run) -> Sandbox | None:
        """The sandbox that this attempt has already. What nobody has claimed has none but that of an attempt before."""
        sandbox = await self._parts.executor.find(self._run_id)
        if sandbox is not None and run.server_id is None:
            await sandbox.kill()
            await sandbox.remove()
            return None
        return sandbox

    async def _launch(self, version: Any) -> Sandbox | None:
        """Claim the run and start its sandbox; None if it is not ours to start, or cannot be."""
        if not await self._claim():
            return None
        run, _ = await runs.get(self._log, self._run_id)
        if run.attempt > 1:
            await self._recording.begin_again(self._parts.server_id, self._parts.epoch)
        try:
            shared, own = await self._shared(run), await self._own(run)
            launch = Launch(
                run_id=run.id,
                order=order_of(version, self._parts.blobs),
                spec=specs.joined(shared, own),
                call=own,
                network=self._manifest.network,
            )
            warm = self._parts.warmth.take(Place(run.deployment_id, run.version_id, run.environment), shared)
            if warm is not None:
                try:
                    return await self._parts.executor.launch(launch, warm)
                except LaunchFailed as failure:
                    logger.warning("a warm sandbox was lost; the run starts cold", run_id=run.id, why=str(failure))
            return await self._parts.executor.launch(launch)
        except StateGone as gone:
            await end(self._log, self._run_id, "start_failed", str(gone), self._author, unusable=True)
        except LaunchFailed as failure:
            measures.EXECUTOR_FAILURES.labels("launch").inc()
            await self._fail("start_failed", str(failure))
        return None

    async def _claim(self) -> bool:
        async def attempt() -> bool:
            run, at = await runs.get(self._log, self._run_id)
            if run.status == "pending" and run.server_id == self._parts.server_id:
                return True  # claimed in a former life that did not get to start it
            claimed = rules.claim(run, self._parts.server_id, self._parts.epoch)
            if claimed:
                await self._log.append(Change(run.id, at, claimed), author=self._author, patient=True)
            return bool(claimed)

        return await insist(attempt)

    async def _shared(self, run: Run) -> dict[str, Any]:
        return specs.shared(
            self._manifest,
            await deployments.variables_of(self._log, run.deployment_id),
            self._parts.api_url,
            deployment_id=run.deployment_id,
            version_id=run.version_id,
            environment=run.environment,
        )

    async def _own(self, run: Run) -> dict[str, Any]:
        given = run.input or {}
        if run.stored_input is not None:
            given = msgspec.json.decode(await self._parts.blobs.load(run.stored_input.sha256))
        conversation: dict[str, Any] = {"thread_id": None, "thread": None}
        if self._conversation:
            conversation = await self._conversation.spec(closed=self._manifest.network == "none")
        return specs.own(run, given, conversation, self._parts.keys)

    async def _attend(self, sandbox: Sandbox) -> None:
        """Record what the sandbox says until it has ended. Stops it when asked to, and if it outlives its limit."""
        watch = asyncio.create_task(self._watch(sandbox), name=f"cancel watch {self._run_id}")
        limit = self._manifest.limits.timeout + GRACE_SECONDS + OVERTIME_SECONDS
        try:
            async with asyncio.timeout(limit):
                # From the beginning, since the last words may stand before the last line that was recorded.
                async for lines in sandbox.lines(0):
                    await self._record(lines)
        except TimeoutError:
            logger.warning("a run outlived its limit and was killed", run_id=self._run_id)
            await sandbox.kill()
            self._words.exit = self._words.exit or protocol.Exit(reason="timeout")
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _watch(self, sandbox: Sandbox) -> None:
        """Stop the sandbox once somebody has asked for it, whatever happens to the log meanwhile."""
        while True:
            try:
                with self._log.follower(self._log.head, (self._run_id,)) as follower:
                    while True:
                        run, _ = await runs.get(self._log, self._run_id)
                        if run.cancel_requested or run.finished:
                            await sandbox.stop()
                        await follower.next()
            except (DomainError, OSError) as fault:
                logger.warning("a run's cancel watch stumbled; it looks again", run_id=self._run_id, fault=str(fault))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _record(self, lines: Sequence[bytes]) -> None:
        for raw in lines:
            line = protocol.parse(raw)
            self._words.hear(line.message)
            if isinstance(line.message, protocol.Ready):
                await self._start(line)
            await self._recording.hear(line, len(raw))
        await self._recording.flush()

    async def _start(self, line: protocol.Line) -> None:
        async def attempt() -> None:
            run, at = await runs.get(self._log, self._run_id)
            if started := rules.start(run, line.at):
                await self._log.append(Change(run.id, at, started), author=self._author, patient=True)

        await insist(attempt)

    async def _end(self, sandbox: Sandbox) -> None:
        """Collect the artifacts, then record them, the thread's new state and the end in one append.

        An attempt that is followed by another leaves neither; the run goes back into the queue.
        """
        last = await self._leftovers(sandbox)
        result = self._words.result.output if self._words.result else None
        output = await self._kept(result)

        async def attempt() -> None:
            run, at = await runs.get(self._log, self._run_id)
            events = judge(run, self._words, output, self._manifest.limits.timeout, clock.now())
            if not events:
                return
            unusable = self._words.failure is not None and self._words.failure.unusable
            if not unusable:
                events = self._another(run, events)
            if isinstance(events[-1], rules.RunRetried):
                said: list[OutputEvent] = [event for event in last if not isinstance(event, ArtifactCollected)]
                await self._commit(self._recording.final(said), Change(run.id, at, events))
                return
            leaving = []
            if self._conversation:
                succeeded = any(isinstance(event, rules.RunSucceeded) for event in events)
                leaving = await self._conversation.ending(succeeded, result, unusable=unusable)
                if succeeded and self._conversation.interrupts is not None:
                    asked = [msgspec.structs.asdict(one) for one in self._conversation.interrupts]
                    events = [rules.RunInterrupted(run_id=run.id, interrupts=asked), *events]
            changes = [self._recording.final(last), *leaving, Change(run.id, at, events)]
            await self._commit(*changes)

        await insist(attempt)

    def _another(self, run: Run, events: list[rules.RunEvent]) -> list[rules.RunEvent]:
        """What becomes of a run that ends so, with its version's wish for further attempts."""
        wanted = self._manifest.retry
        return rules.retry(run, events, wanted.attempts, wanted.backoff, clock.now())

    async def _kept(self, result: Any) -> tuple[Any, Stored | None]:
        while True:
            try:
                return await keep(self._parts.blobs, result)
            except Unavailable:  # a full disk: the run is over and its result waits in the journal
                await asyncio.sleep(PAUSE_SECONDS)

    async def _commit(self, *changes: Change) -> None:
        """Append what ends the run, waiting out a log that cannot be written."""
        while True:
            try:
                await self._log.append(*changes, author=self._author, patient=True)
                return
            except StreamMoved as moved:
                if self._recording.owns(moved.stream):
                    run, _ = await runs.get(self._log, self._run_id)
                    if not run.finished:
                        raise TakenOver(str(moved)) from moved
                raise
            except Unavailable:
                if self._log.closing:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)

    async def _leftovers(self, sandbox: Sandbox) -> list[OutputEvent]:
        events: list[OutputEvent] = []
        try:
            async with asyncio.timeout(COLLECT_SECONDS):
                files, refused = await sandbox.artifacts()
                for refusal in refused:
                    events.append(_warning(f"Artifact {refusal.name!r} was not collected: {refusal.why}"))
                for file in files:
                    blob = await self._parts.blobs.put_file(file.path)
                    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
                    collected = ArtifactCollected(
                        run_id=self._run_id, name=file.name, size=blob.size, content_type=kind, sha256=blob.sha256
                    )
                    events.append(collected)
        except (TimeoutError, OSError) as fault:
            events.append(_warning(f"Not all artifacts could be collected: {fault or 'it took too long'}"))
        if self._words.exit and self._words.exit.lost_logs:
            events.append(_warning(f"{self._words.exit.lost_logs} log lines were dropped: the run's log was full"))
        return events

    async def _fail(self, reason: rules.Reason, error: str) -> None:
        retry = self._manifest.retry
        await end(self._log, self._run_id, reason, error, self._author, retry=(retry.attempts, retry.backoff))

    async def give_up(self, fault: Exception) -> None:
        """Something of ours broke: end the run all the same, so that nobody waits for it for ever."""
        if isinstance(fault, TakenOver):
            logger.warning("another server took this run over", run_id=self._run_id)
            return
        logger.error("a supervisor broke down", run_id=self._run_id, exc_info=fault)
        measures.EXECUTOR_FAILURES.labels("supervise").inc()
        if self._sandbox is not None:
            await self._sandbox.kill()
        why = f"The server could not see this run through: {fault}"
        await end(self._log, self._run_id, "lost", why, self._author)
        if self._sandbox is not None:
            await self._sandbox.remove()


async def end(
    log: EventLog,
    run_id: str,
    reason: rules.Reason,
    error: str,
    author: Author,
    *,
    unusable: bool = False,
    retry: tuple[int, float] = (1, 0.0),
) -> None:
    """End a run that is not under way: failed, or canceled if it was asked to stop. Its thread is free again.

    `unusable`: its thread's state was why; `retry` are the attempts that it may have in all, and the first pause.
    """

    async def attempt() -> None:
        run, at = await runs.get(log, run_id)
        now = clock.now()
        events = rules.stopped(run, now) or rules.retry(run, rules.fail(run, reason, error), *retry, now)
        if not events:
            return
        leaving = []
        if not isinstance(events[-1], rules.RunRetried):
            leaving = await threads.leaving(log, run, succeeded=False, unusable=unusable)
        await log.append(Change(run.id, at, events), *leaving, author=author, patient=True)

    await insist(attempt)


def _warning(message: str) -> LogWritten:
    return LogWritten(level="warning", message=message, stream="crewship")
