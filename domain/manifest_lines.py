"""On which line of a TOML text a key stands. tomllib tells lines of syntax errors alone."""

import re
import tomllib
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r]+ | \#[^\n]*)
  | (?P<newline>\n)
  | (?P<string>
        \"\"\"(?:\\[\s\S]|[^\\])*?\"\"\"(?!\")
      | '''[\s\S]*?'''(?!')
      | "(?:\\.|[^"\\\n])*"
      | '[^'\n]*'
    )
  | (?P<mark>[\[\]{}=,.])
  | (?P<bare>[^\s\[\]{}=,.\#"']+)
  | (?P<other>.)
    """,
    re.VERBOSE,
)
Path = tuple[str, ...]


def find(text: str) -> dict[Path, int]:
    """The line, counted from 1, of each table and key of a text that tomllib takes; the first, where it has several.

    Keys inside inline tables are there too; items of lists are not told apart.
    """
    lines: dict[Path, int] = {}
    tokens = _tokens(text)
    table: Path = ()
    for kind, word, line in tokens:
        if kind == "newline":
            continue
        if word == "[":
            table = _header(tokens)
            _note(lines, table, line)
        else:
            _statement(lines, table, (kind, word, line), tokens)
    return lines


_Token = tuple[str, str, int]


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind, word = match.lastgroup or "other", match.group()
        if kind != "space":
            yield kind, word, line
        line += word.count("\n")


def _header(tokens: Iterator[_Token]) -> Path:
    """The path between the brackets; the rest of the line is skipped."""
    path: list[str] = []
    for kind, word, _ in tokens:
        if kind == "newline":
            break
        if kind in ("bare", "string"):
            path.append(_plain(kind, word))
    return tuple(path)


def _statement(lines: dict[Path, int], table: Path, first: _Token, tokens: Iterator[_Token]) -> None:
    """Reads one `key = value` to the end of its line, and notes the keys within."""
    # What is open: for each bracket whether a key or a value comes next, and the path that its keys lie under.
    open_: list[tuple[str, Path]] = []
    base, key, naming, at = table, _grow([], first[0], first[1]), True, first[2]
    for kind, word, line in tokens:
        if kind == "newline":
            if not open_:
                return
        elif naming and word == "=":
            base = (*base, *key)
            _note(lines, base, at)
            key, naming = [], False
        elif naming and word not in ("}", ","):
            at = at if key else line
            key = _grow(key, kind, word)
        elif word in ("{", "["):
            open_.append((word, base))
            naming = word == "{"
        elif word in ("}", "]"):
            _, base = open_.pop()
            naming = False
        elif word == "," and open_:
            naming = open_[-1][0] == "{"
            base = open_[-1][1]


def _grow(key: list[str], kind: str, word: str) -> list[str]:
    return [*key, _plain(kind, word)] if kind in ("bare", "string") else key


def _note(lines: dict[Path, int], path: Path, line: int) -> None:
    """The path stands there, and so does what holds it, unless they were seen before."""
    for end in range(1, len(path) + 1):
        lines.setdefault(path[:end], line)


def _plain(kind: str, word: str) -> str:
    if kind == "bare":
        return word
    value = tomllib.loads(f"key = {word}")["key"]
    return str(value)
