"""Bytes and text into lines, with bounded memory whatever comes."""

from __future__ import annotations

import codecs
import re

LINE_LIMIT = 64 * 1024  # bytes of one log line; what is longer is cut

_LEVEL_WORD = re.compile(r"\b(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b")
_LEVELS = {"WARN": "warning", "FATAL": "critical"}


class LineSplitter:
    """Cuts a byte stream at newlines and holds at most `limit` bytes of the line that is not finished.

    With `terminal`, a carriage return inside a line starts it over, as a terminal shows a progress bar: what is
    left is the bar's last state.
    """

    def __init__(self, limit: int = LINE_LIMIT, *, terminal: bool = True) -> None:
        self._limit = limit
        self._terminal = terminal
        self._held = bytearray()
        self._cut = False
        self._returned = False  # the last byte was a carriage return: what comes next starts the line over

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """The lines that `data` finishes, without their line ends; the flag says that a line was cut."""
        lines = []
        *finished, rest = data.split(b"\n")
        for piece in finished:
            self._hold(piece)
            lines.append(self._take())
        self._hold(rest)
        return lines

    def finish(self) -> list[tuple[bytes, bool]]:
        """The last line, if the stream did not end with a newline."""
        return [self._take()] if self._held or self._cut else []

    def _hold(self, piece: bytes) -> None:
        if self._terminal and piece:
            shown = piece.rstrip(b"\r")
            restart = shown.rfind(b"\r")
            if shown and (self._returned or restart >= 0):
                self._start_over()
            self._returned = piece.endswith(b"\r")
            piece = shown[restart + 1 :]
        room = self._limit - len(self._held)
        self._cut = self._cut or len(piece) > room
        self._held += piece[:room]

    def _start_over(self) -> None:
        self._held.clear()
        self._cut = self._returned = False

    def _take(self) -> tuple[bytes, bool]:
        line, cut = bytes(self._held), self._cut
        self._start_over()
        return line, cut


def text_of(line: bytes, cut: bool = False) -> str:
    """A log line as text: what is no UTF-8, and NUL, becomes U+FFFD; a cut line does not end in half a character."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(line, final=not cut).replace("\0", "\ufffd")


def shorten(text: str, limit: int = LINE_LIMIT) -> tuple[str, bool]:
    """The text, cut to `limit` bytes of UTF-8, and whether it had to be; lone surrogates become `?`, NUL U+FFFD."""
    if len(text) <= limit and text.isascii() and "\0" not in text:
        return text, False
    data = text[: limit + 1].encode("utf-8", "replace")
    cut = len(data) > limit or len(text) > limit + 1
    return text_of(data[:limit], cut), cut


def level_of(stream: str, message: str) -> str:
    """The level of a printed line: info on stdout; on stderr what the line itself names, else warning."""
    if stream != "stderr":
        return "info"
    named = _LEVEL_WORD.search(message[:80])
    if named is None:
        return "warning"
    return _LEVELS.get(named.group(1), named.group(1).lower())
