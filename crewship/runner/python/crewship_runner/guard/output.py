"""What the child says: its stdout, its stderr and its reports, read from three pipes into the journal."""

from __future__ import annotations

import os
from typing import Any

from ..lines import LineSplitter, level_of, text_of
from . import reports
from .child import Child
from .journal import Journal
from .states import KINDS

_READ = 1024 * 1024  # at least what a pipe holds: one read takes all that was there

STATES_LIMIT = 1024 * 1024 * 1024  # bytes that a run may report for its thread to keep
STATES_TOO_LARGE = f"the thread's state is too large: the run reported more than {STATES_LIMIT >> 30} GiB of it"


class Output:
    """Reads the child's pipes. The first `result` or `error` counts; a printed line is a log and nothing else."""

    def __init__(self, child: Child, journal: Journal, *, warm: bool = False) -> None:
        self._journal = journal
        self._getting_warm = warm
        self._reports = LineSplitter(reports.RESULT_LIMIT + reports.OVERHEAD, terminal=False)
        self._printed = {child.stdout: ("stdout", LineSplitter()), child.stderr: ("stderr", LineSplitter())}
        self._report_fd = child.reports
        self.open = {child.stdout, child.stderr, child.reports}
        self._concluded = False
        self._states_left = STATES_LIMIT

    def pump(self) -> bool:
        """Take in what the pipes hold now, at most one read of each; whether there was anything.

        Reports are read first and told last: what the child printed before it reported comes before the report.
        """
        reported = self._read(self._report_fd)
        any_printed = False
        for fd, (stream, splitter) in self._printed.items():
            data = self._read(fd)
            any_printed = any_printed or bool(data)
            self._log(stream, splitter.feed(data))
        for line, cut in self._reports.feed(reported):
            self._report(line, cut)
        return bool(reported) or any_printed

    def finish(self) -> None:
        """Nothing more comes: last lines without a newline, and a report that broke off, are told too."""
        for stream, splitter in self._printed.values():
            self._log(stream, splitter.finish())
        for line, cut in self._reports.finish():
            self._report(line, cut)
        self._journal.flush_tokens()

    def _read(self, fd: int) -> bytes:
        if fd not in self.open:
            return b""
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return b""
        if not data:
            self.open.discard(fd)
            os.close(fd)
        return data

    def _log(self, stream: str, lines: list[tuple[bytes, bool]]) -> None:
        for line, cut in lines:
            message = text_of(line, cut)
            self._journal.log(level_of(stream, message), message, stream, cut)

    def _report(self, line: bytes, cut: bool) -> None:
        try:
            report = reports.read(line, cut)
        except reports.Refused as error:
            self._refuse(str(error), error.fatal)
            return
        kind = report.pop("type")
        if kind == "warm":
            if self._getting_warm:
                self._journal.mark(kind)
            self._getting_warm = False
            return
        if kind in KINDS:
            self._states_left -= len(line)
            if self._states_left < 0:
                self._refuse(STATES_TOO_LARGE, fatal=True)
                return
        try:
            self._tell(kind, report)
        except ValueError:  # a number like 1e999, which Python reads and JSON does not know
            self._refuse("A report with a number out of range was dropped", kind == "result" or kind in KINDS)

    def _tell(self, kind: str, report: dict[str, Any]) -> None:
        if kind == "log":
            self._journal.log(**report)
        elif kind == "token":
            self._journal.token(**report)
        elif kind not in ("result", "error"):
            self._journal.add(kind, **report)
        elif not self._concluded:
            self._journal.add(kind, **report)
            self._concluded = True
        else:
            self._journal.warn(f"The run had its last words already: another {kind} was dropped")

    def _refuse(self, why: str, fatal: bool) -> None:
        """A report is lost; where it was the result, or what the thread keeps, the run has failed."""
        self._journal.warn(why)
        if fatal and not self._concluded:
            self._journal.add("error", error=why, stack_trace=None)
            self._concluded = True
