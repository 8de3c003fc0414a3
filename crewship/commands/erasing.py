"""Erasing what runs and threads hold of a person: the decision. What follows from it is the engine's."""

from crewship.commands import runs
from crewship.commands.deciding import decide
from crewship.eventlog import Author, Change, EventLog
from domain import erasure
from domain import run as run_rules
from domain import thread as thread_rules
from domain.erasure import Why
from domain.errors import NotFound
from domain.thread import RunEnqueued, RunTaken


async def erase_run(log: EventLog, run_id: str, why: Why, author: Author) -> list[str]:
    """Have an ended run forgotten; returns whose data are to go. Raises NotFound, Conflict while it is under way."""

    async def attempt() -> list[str]:
        run, at = await runs.get(log, run_id)
        if events := run_rules.erase(run, why):
            await log.append(Change(run_id, at, events), author=author)
        return [run_id]

    return await decide(attempt)


async def erase_thread(log: EventLog, thread_id: str, why: Why, author: Author) -> list[str]:
    """Have a thread at rest forgotten, with all of its runs; returns whose data are to go. It may have been deleted."""

    async def attempt() -> list[str]:
        thread, at = await log.load(thread_id, thread_rules.evolve) if thread_id.startswith("thr_") else (None, 0)
        if thread is None:
            raise NotFound(f"Thread {thread_id[:80]} not found")
        decided = thread_rules.erase(thread, why)
        run_ids = await _runs_of(log, thread_id)
        changes: list[Change] = []
        for run_id in run_ids:
            run, run_at = await runs.get(log, run_id)
            if events := run_rules.erase(run, why):
                changes.append(Change(run_id, run_at, events))
        if decided or changes:
            await log.append(*changes, Change(thread_id, at, decided), author=author)
        return [*run_ids, thread_id]

    return await decide(attempt)


async def destroyed(log: EventLog, subject_id: str) -> bool:
    """Whether a subject's data are gone."""
    gone, _ = await log.load(erasure.stream(subject_id), erasure.evolve)
    return gone is not None


async def _runs_of(log: EventLog, thread_id: str) -> list[str]:
    """All runs that a thread ever had or that waited for it, in order."""
    found: dict[str, None] = {}
    after = 0
    while events := await log.read(after, streams=(thread_id,)):
        for recorded in events:
            if isinstance(recorded.event, RunTaken | RunEnqueued):
                found[recorded.event.run_id] = None
        after = events[-1].position
    return list(found)
