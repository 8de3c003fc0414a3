"""The syntax of .env files, as its readers agree on it. Pure: text → names and values."""

import re

_START = re.compile(r"[^\S\n]*(?:export[^\S\n]+)?([A-Za-z_][A-Za-z0-9_.-]*)[^\S\n]*=[^\S\n]*")
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_BARE = re.compile(r"[^\n]*")
_REST = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_BLANK = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class DotenvError(Exception):
    """A line is no assignment. The message names the line, never what it holds."""


def parse(text: str) -> dict[str, str]:
    """The variables; the last of one name counts.

    `export` before a name and comments are skipped. Values in double quotes know \\n, \\r, \\t, \\" and \\\\, those in
    single quotes are taken as they are; both may go over several lines. Bare values end at ` #`. Nothing is expanded.
    """
    text = text.replace("\r\n", "\n")
    variables: dict[str, str] = {}
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        start = _START.match(text, at)
        if start is None:
            raise _error(text, at, "is not of the form NAME=VALUE")
        variables[start[1]], at = _value(text, start.end())
    return variables


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that begins there, and where the next line begins."""
    quoted = {'"': _DOUBLE, "'": _SINGLE}.get(text[at : at + 1])
    if quoted is None:
        bare = _BARE.match(text, at)
        end = bare.end() if bare else at
        return re.split(r"(?:^|\s)#", text[at:end], maxsplit=1)[0].strip(), end + 1
    match = quoted.match(text, at)
    if match is None:
        raise _error(text, at, "has a quote that is never closed")
    rest = _REST.match(text, match.end())
    if rest is None:
        raise _error(text, match.end(), "goes on behind the closing quote")
    value = match[1]
    if quoted is _DOUBLE:
        value = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), value, flags=re.DOTALL)
    return value, rest.end()


def _error(text: str, at: int, what: str) -> DotenvError:
    return DotenvError(f"line {text.count(chr(10), 0, at) + 1} {what}")
