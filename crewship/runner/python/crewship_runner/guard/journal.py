"""The journal: an append-only file of numbered JSON lines, the only thing that the server hears of a run."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
from typing import Any

from ..lines import shorten

JOURNAL_LIMIT = 256 * 1024 * 1024  # bytes of all lines but the last words and what a thread keeps
LOG_LIMIT = 32 * 1024 * 1024  # default for limits.logs: bytes of the journal that log lines may take
HELD_LIMIT = 1024 * 1024  # bytes of lines that wait for a run to begin
TOKEN_PAUSE = 0.05  # seconds for which the tokens of one agent are joined
DISK_PATIENCE = 300.0  # seconds for which a full disk is waited out
TOKEN_LIMIT = 64 * 1024  # characters after which joined tokens do not wait any longer

_PLACE = 48  # bytes that number and time take in a line

_LAST_WORDS = frozenset({"result", "error", "exit"})
_STATE = frozenset(
    {"checkpoint", "writes", "interrupted", "values"}
)  # kept whole or not at all: guard.output has their budget
_UNPAID = _LAST_WORDS | _STATE

_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


class Journal:
    """Numbers and times the lines (1, 2, 3 …, times never run back), keeps the budgets, rings the bell.

    Lines gather until `flush` writes them in one piece. Tokens are joined for `TOKEN_PAUSE` and come out before any
    other line. `ascii_only` writes all other characters as JSON's escapes. A write that fails raises OSError: the guard
    cannot go on.
    """

    def __init__(
        self, fd: int, bell: int | None = None, limit: int = JOURNAL_LIMIT, *, ascii_only: bool = False
    ) -> None:
        self._fd, self._bell, self._ascii = fd, bell, ascii_only
        self._log_left, self._left = LOG_LIMIT, limit
        self._batch: list[bytes] = []
        self._number = 0
        self._at = 0.0
        self._tokens: dict[str, list[str]] = {}
        self._token_size = 0
        self.tokens_due: float | None = None
        self._held: list[tuple[str, bytes]] | None = None
        self._held_size = 0
        self._logs_full = self._full = False
        self.lost_logs = 0

    def add(self, kind: str, **fields: Any) -> None:
        """Take one line; what is beyond the journal's budget is dropped, with one warning.

        Last words, and what a thread keeps, are never dropped.

        Raises ValueError for what is not JSON (NaN, infinities).
        """
        if self._tokens:
            self.flush_tokens()
        text = json.dumps({"type": kind, **fields}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        body = text[1:].encode("utf-8", "replace")
        if self._ascii and not text.isascii():
            body = _NOT_ASCII.sub(_escape, body.decode()).encode("ascii")
        if self._held is None:
            self._take(kind, body)
        elif kind in _LAST_WORDS or self._held_size + len(body) <= HELD_LIMIT:
            self._held.append((kind, body))
            self._held_size += len(body)
        else:
            self.lost_logs += kind == "log"

    def _take(self, kind: str, body: bytes) -> None:
        if kind in _UNPAID or self._pay(kind, _PLACE + len(body)):
            self._append(body)

    def hold(self) -> None:
        """From now on lines wait for `release`: what a warm sandbox says stands behind the beginning of its run."""
        self._held = []

    def mark(self, kind: str) -> None:
        """Take one line that says its type alone, and waits for nothing."""
        self._append(f'"type":"{kind}"}}'.encode())

    def release(self) -> None:
        """Let what was held become lines, in its order and with the present time."""
        held, self._held, self._held_size = self._held or [], None, 0
        for kind, body in held:
            self._take(kind, body)

    def limit_logs(self, size: int) -> None:
        """From now on at most `size` bytes of log lines, counted as they stand in the journal."""
        self._log_left = size

    def warn(self, message: str) -> None:
        """Say something about the run that the project did not say."""
        self.log("warning", message, "runner")

    def log(self, level: str, message: str, stream: str, truncated: bool = False) -> None:
        """Take one log line; the message is cut to 64 KiB."""
        message, cut = shorten(message)
        more = {"truncated": True} if cut or truncated else {}
        self.add("log", level=level, message=message, stream=stream, **more)

    def token(self, agent: str, text: str) -> None:
        """Take a piece of a model's output; pieces of one agent are joined."""
        if self.tokens_due is None:
            self.tokens_due = time.monotonic() + TOKEN_PAUSE
        self._tokens.setdefault(agent, []).append(text)
        self._token_size += len(agent) + len(text)
        if self._token_size > TOKEN_LIMIT:
            self.flush_tokens()

    def flush_tokens(self) -> None:
        """Let the joined tokens become lines."""
        tokens, self._tokens, self._token_size, self.tokens_due = self._tokens, {}, 0, None
        for agent, pieces in tokens.items():
            self.add("token", agent=agent, text="".join(pieces))

    def flush(self) -> None:
        """Write what gathered, in one piece, and ring the bell."""
        if not self._batch:
            return
        data = memoryview(b"".join(self._batch))
        self._batch.clear()
        give_up = time.monotonic() + DISK_PATIENCE
        while data:  # once, unless a disk fills up in the middle
            try:
                data = data[os.write(self._fd, data) :]
            except OSError as fault:
                # A full disk of the server is not the run's fault: it stands still until there is room.
                if fault.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() > give_up:
                    raise
                time.sleep(0.5)
        if self._bell is not None:
            with contextlib.suppress(OSError):  # nobody listens now, or the bell rings already
                os.write(self._bell, b"!")

    def _append(self, body: bytes) -> None:
        self._number += 1
        self._at = max(self._at, time.time())
        seconds, milliseconds = divmod(int(self._at * 1000), 1000)
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        self._batch.append(b'{"n":%d,"at":"%s.%03dZ",%s\n' % (self._number, at.encode(), milliseconds, body))

    def _pay(self, kind: str, size: int) -> bool:
        """Whether the budgets bear one more line of this size."""
        if kind == "log":
            if self._logs_full or size > self._log_left:
                self.lost_logs += 1
                if not self._logs_full:
                    self._logs_full = True
                    self._note("The run has used up its budget for logs: later lines are counted, not kept")
                return False
            self._log_left -= size
        if self._full or size > self._left:
            self.lost_logs += kind == "log"
            if not self._full:
                self._full = True
                self._note("The run has used up its budget for events: later ones are dropped")
            return False
        self._left -= size
        return True

    def _note(self, message: str) -> None:
        fields = {"type": "log", "level": "warning", "message": message, "stream": "runner"}
        self._append(json.dumps(fields)[1:].encode())


def _escape(match: re.Match[str]) -> str:
    """Characters beyond ASCII as JSON writes them; in JSON they only stand inside of strings."""
    return json.dumps(match[0])[1:-1]
