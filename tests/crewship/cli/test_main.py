"""Usage, help and errors of the command line as a whole."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import Result

from crewship.cli.main import COMMANDS, cli

Command = Callable[..., Result]


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def walk(command: click.Command, path: tuple[str, ...]) -> None:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                walk(inner, (*path, name))
        else:
            found.append(path)

    walk(cli, ())
    return found


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(path: tuple[str, ...], crewship: Command) -> None:
    result = crewship(*path, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"crewship {' '.join(path)}" in result.stdout.partition("Example")[2]
    if path != ("serve",):
        assert "--json" in result.stdout


def test_the_overview_lists_every_command(crewship: Command) -> None:
    text = crewship("--help").stdout
    assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "error: No such command 'nonsense'"),
        (("deploy", "--nonsense"), "error: No such option"),
        (("runs", "get"), "error: Missing argument 'RUN_ID' (see `crewship runs get --help`)"),
        (("runs", "list", "--limit", "1000"), "error: Invalid value for '--limit'"),
        (("invoke", "x", "-i", "nonsense"), "error: --input is not JSON"),
        (("invoke", "x", "--detach", "--stream"), "error: --detach does not wait"),
        (("invoke", "x", "--timeout", "soon"), "error: Invalid value for '--timeout': 'soon' is not a duration"),
        (("deploy",), "error: there is no crewship.toml in"),
        (("deploy", "nowhere"), "error: nowhere is not a folder"),
        (("deploy", "--rollback", "x"), "error: --rollback x: give a version"),
        (("env", "set", "-n", "x"), "error: nothing to set"),
        (("env", "set", "-n", "x", "=v"), "error: an argument is not of the form NAME=VALUE"),
        (("env", "import", "-n", "x", "nowhere"), "error: nowhere: No such file"),
        (("keys", "create", "x"), "error: Missing option '--scope'"),
        (("login", "--url", "nonsense", "--key", "x"), "error: 'nonsense' is not the address of a server"),
    ],
)
def test_a_wrong_use_is_one_line_that_says_what_is_wrong(
    arguments: tuple[str, ...], message: str, crewship: Command
) -> None:
    result = crewship(*arguments)
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert result.exit_code == 2


def test_a_secret_in_a_wrong_place_is_not_shown(crewship: Command) -> None:
    assert "secret" not in crewship("env", "set", "-n", "x", "sk-secret").stderr


def test_what_should_not_happen_is_one_line_too(crewship: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("surprise\nparty")

    monkeypatch.setattr("crewship.cli.client.Client.get", broken)
    result = crewship("runs", "list")
    assert result.exit_code == 1
    line = "error: this should not happen: ZeroDivisionError: surprise party (CREWSHIP_DEBUG=1 shows where)\n"
    assert result.stderr == line


def test_the_overview_imports_no_command_and_no_library_of_theirs() -> None:
    code = (
        "import sys\nfrom crewship.cli.main import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'httpx', 'rich', 'msgspec', 'pathspec', 'aiohttp', 'crewship.cli.runs'} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[]"


def test_the_version_is_told(crewship: Command) -> None:
    assert crewship("--version").stdout.startswith("crewship 0")
