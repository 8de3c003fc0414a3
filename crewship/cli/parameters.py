"""What several commands take in the same way: options, durations, a run's input, the name of a deployment."""

import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from crewship.cli.errors import Mistake
from domain import manifest

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
ENVIRONMENTS = ("production", "staging")


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A callback of options: the seconds of 90, 90s, 5m or 1h."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d)?", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a duration: write it like 90s, 5m or 1h", ctx, param)
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}[match[2]]


def as_json(command: Decorated) -> Decorated:
    """--json"""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON for machines.")(command)


def named(command: Decorated) -> Decorated:
    """-n/--name"""
    text = "The deployment; else the one that ./crewship.toml names."
    return click.option("-n", "--name", metavar="NAME", help=text)(command)


def in_environment(command: Decorated) -> Decorated:
    """--environment"""
    choice = click.Choice(ENVIRONMENTS)
    return click.option("--environment", "-e", type=choice, default="production", show_default=True)(command)


def paged(command: Decorated) -> Decorated:
    """--limit and --offset"""
    command = click.option("--offset", type=click.IntRange(0), default=0, help="Leave out that many of the newest.")(
        command
    )
    return click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)(command)


def deployment_name(positional: str | None, option: str | None, folder: Path | None = None) -> str:
    """The deployment that is meant: as given, else as the folder's crewship.toml names it, else after the folder."""
    if positional and option and positional != option:
        raise Mistake(f"two deployments are named: {positional} and {option}")
    if positional or option:
        return str(positional or option)
    folder = (folder or Path()).resolve()
    if not (folder / manifest.FILE).exists():
        raise Mistake(
            f"which deployment? Name one, or go to a folder with a {manifest.FILE} (`crewship init` makes one)"
        )
    return read_manifest(folder).deployment().name or manifest.slug(folder.name)


def read_manifest(folder: Path) -> manifest.Manifest:
    """The crewship.toml of the folder."""
    try:
        text = (folder / manifest.FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Mistake(f"there is no {manifest.FILE} in {folder}: `crewship init` makes one") from None
    except UnicodeDecodeError:
        raise Mistake(f"{folder / manifest.FILE} is not UTF-8 text") from None
    return manifest.parse(text)


def run_input(given: str | None) -> dict[str, Any]:
    """The JSON object that `--input` gives: as text, as @file, or - for stdin. None is an empty one."""
    if given is None:
        return {}
    source, text = "--input", given
    if given == "-":
        source, text = "stdin", _decoded(sys.stdin.buffer.read(), "stdin")
    elif given.startswith("@"):
        source = given[1:]
        try:
            text = _decoded(Path(source).read_bytes(), source)
        except OSError as error:
            raise Mistake(f"--input {given}: {error.strerror or error}") from None
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Mistake(f'{source} is not JSON: {error.msg} at {where} (it looks like {{"topic": "AI"}})') from None
    except (RecursionError, ValueError):
        raise Mistake(f"{source} holds a value that is too large to be read") from None
    if not isinstance(value, dict):
        raise Mistake(f'{source} must be a JSON object, like {{"topic": "AI"}}')
    return value


def _no_number(text: str) -> Any:
    raise Mistake(f"{text} is no JSON: numbers are finite")


def _number(text: str) -> float:
    number = float(text)
    return _no_number(text) if math.isinf(number) else number


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Mistake(f"{source} is not UTF-8 text") from None
