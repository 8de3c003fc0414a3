"""`crewship env …`: values go to the server and never come back."""

import sys
from pathlib import Path

import click

from crewship.cli import dotenv, parameters, terminal
from crewship.cli.client import Client
from crewship.cli.deploy import find_or_create
from crewship.cli.errors import Mistake


@click.group()
def env() -> None:
    """Set the environment variables that runs get, from the next run on."""


@env.command("set")
@click.argument("pairs", nargs=-1, metavar="NAME=VALUE …")
@click.option("--from-stdin", metavar="NAME", help="Take the value of NAME from stdin, where no history keeps it.")
@parameters.named
@parameters.as_json
def set_(pairs: tuple[str, ...], from_stdin: str | None, name: str | None, as_json: bool) -> None:
    """Set variables; others keep their values. Makes the deployment if there is none yet.

    \b
    Examples:
      crewship env set OPENAI_API_KEY=sk-... MODEL=gpt-4o
      crewship env set --from-stdin OPENAI_API_KEY -n my-agent < key.txt
    """
    variables = {}
    for pair in pairs:
        variable, equals, value = pair.partition("=")
        if not equals or not variable:
            raise Mistake(f"an argument is not of the form NAME=VALUE (it begins with {pair[:2]!r})")
        variables[variable] = value
    if from_stdin:
        if sys.stdin.isatty():
            variables[from_stdin] = click.prompt(from_stdin, hide_input=True, err=True)
        else:
            variables[from_stdin] = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not variables:
        raise Mistake("nothing to set: give NAME=VALUE, or --from-stdin NAME")
    _put(variables, name, as_json)


@env.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@parameters.named
@parameters.as_json
def import_(file: Path, name: str | None, as_json: bool) -> None:
    """Set what a .env file holds.

    \b
    Example:
      crewship env import .env
    """
    try:
        variables = dotenv.parse(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise Mistake(f"{file} is not UTF-8 text") from None
    except OSError as error:
        raise Mistake(f"{file}: {error.strerror or error}") from None
    except dotenv.DotenvError as error:
        raise Mistake(f"{file} {error}") from None
    if not variables:
        raise Mistake(f"{file} sets no variable")
    _put(variables, name, as_json)


@env.command("list")
@parameters.named
@parameters.as_json
def list_(name: str | None, as_json: bool) -> None:
    """List the names of the variables. Values are never shown.

    \b
    Example:
      crewship env list -n my-agent
    """
    called = parameters.deployment_name(None, name)
    answer = Client.connect().get("deployments", called, "env")
    if as_json:
        terminal.print_json(answer)
        return
    rows = [(item["name"], terminal.local_time(item["updated_at"])) for item in answer["variables"]]
    terminal.print_table(("NAME", "UPDATED"), rows, f"{called} has no variables.")


@env.command()
@click.argument("variables", nargs=-1, required=True, metavar="NAME …")
@parameters.named
@parameters.as_json
def unset(variables: tuple[str, ...], name: str | None, as_json: bool) -> None:
    """Take variables away.

    \b
    Example:
      crewship env unset MODEL
    """
    called = parameters.deployment_name(None, name)
    client = Client.connect()
    for variable in variables:
        client.delete("deployments", called, "env", variable)
    _report("unset", list(variables), called, as_json)


def _put(variables: dict[str, str], name: str | None, as_json: bool) -> None:
    called = parameters.deployment_name(None, name)
    client = Client.connect()
    deployment = find_or_create(client, called)
    client.put("deployments", deployment["id"], "env", body={"variables": variables})
    _report("set", sorted(variables), deployment["name"], as_json)


def _report(done: str, variables: list[str], deployment: str, as_json: bool) -> None:
    if as_json:
        terminal.print_json({done: variables})
    else:
        terminal.say(f"{done.capitalize()} {', '.join(variables)} of {deployment}")
