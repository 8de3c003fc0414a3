"""How a run ended, told from what its journal says last. Pure."""

from datetime import datetime
from typing import Any

import msgspec

from crewship.engine import protocol
from domain import run as rules
from domain.output import Stored
from domain.run import Reason, Run, RunEvent

LOST = "The sandbox was lost: it ended without a word (killed from outside, or the machine restarted)"


class LastWords(msgspec.Struct, kw_only=True):
    """What matters of a journal for how the run ended."""

    result: protocol.Result | None = None
    failure: protocol.Failure | None = None
    exit: protocol.Exit | None = None

    def hear(self, message: protocol.Message) -> None:
        """Take note. The first result and the first failure count."""
        match message:
            case protocol.Result():
                self.result = self.result or message
            case protocol.Failure():
                self.failure = self.failure or message
            case protocol.Exit():
                self.exit = message


def judge(
    run: Run, words: LastWords, output: tuple[Any, Stored | None], timeout: float, at: datetime
) -> list[RunEvent]:
    """The terminal event of a run whose sandbox has ended."""
    duration = round((at - run.started_at).total_seconds() * 1000) if run.started_at else 0
    duration = max(0, duration)
    end = words.exit
    if end is None:
        # Killed from outside: on request, or by nobody we know.
        return rules.stopped(run, at) or rules.fail(run, "lost", LOST, duration_ms=duration)
    if end.reason == "stopped" and run.cancel_requested:
        return rules.stopped(run, at)
    if end.reason is None and end.code == 0 and words.result is not None:
        return rules.succeed(run, duration, output[0], output[1])
    reason, error, stack = _fault(words, end, timeout)
    return rules.fail(run, reason, error, stack, duration)


def _fault(words: LastWords, end: protocol.Exit, timeout: float) -> tuple[Reason, str, str | None]:
    if end.reason == "timeout":
        return "timeout", f"The run took longer than its limit of {timeout:g} s", None
    if end.reason == "out_of_memory":
        return "out_of_memory", end.message or "The run used more memory than its limit", None
    if end.reason == "disk_full":
        return "disk_full", end.message or "The run wrote more to its disk than its limit", None
    if end.reason == "start_failed":
        return "start_failed", end.message or "The run could not be started", None
    if end.reason == "stopped":
        return "lost", "The sandbox was told to stop from outside", None
    if words.failure is not None:
        return "error", words.failure.error, words.failure.stack_trace
    if end.signal is not None:
        return "error", f"The process was killed by signal {end.signal}", None
    if end.code:
        return "error", f"The process ended with exit code {end.code} and without a result", None
    return "error", "The process ended without a result", None
