"""`crewship doctor`: is everything there that a server needs, does it answer, and what to do if not."""

from collections.abc import Iterator
from typing import Any

import click

from crewship.cli import credentials, parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import CommandError, Refused

MARKS = {"ok": "✓", "warning": "!", "problem": "✗"}
COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@click.option("--data", metavar="DIR", help="The server's data folder (CREWSHIP_DATA, else .data).")
@click.option("--log", metavar="URL", help="The log, where it is in PostgreSQL.")
@click.option("--client", "only_client", is_flag=True, help="Only the server's address and the key, not this machine.")
@parameters.as_json
@click.pass_context
def doctor(ctx: click.Context, data: str | None, log: str | None, only_client: bool, as_json: bool) -> None:
    """Check this machine, the server and the key, and say what to do. Changes nothing; ends with 1 on a problem.

    \b
    Examples:
      crewship doctor
      crewship doctor --data /var/lib/crewship --json
    """
    findings = []
    for finding in (*(() if only_client else _machine(data, log)), *_server()):
        findings.append(finding)
        if not as_json:
            _show(finding)
    well = all(finding["state"] != "problem" for finding in findings)
    if as_json:
        terminal.print_json({"ok": well, "findings": findings})
    ctx.exit(0 if well else 1)


def _show(finding: dict[str, Any]) -> None:
    state = finding["state"]
    text = terminal.harmless(finding["found"])
    terminal.say(f"{MARKS[state]} {finding['check']}: {text}", fg=COLOURS[state])
    if finding["advice"]:
        terminal.say(f"  → {finding['advice']}")


def _machine(data: str | None, log: str | None) -> Iterator[dict[str, Any]]:
    from crewship.config import Settings
    from crewship.operations.doctor import examine

    for one in examine(Settings.load(data=data, log=log)):
        yield {"check": one.check, "state": one.state, "found": one.found, "advice": one.advice}


def _server() -> Iterator[dict[str, Any]]:
    """What the server says of itself, and of the key."""
    try:
        address, key = credentials.load()
        client = Client(address, key)
        with client.reaching():
            ready = client.http.get("/readyz")
    except (CommandError, credentials.CredentialsError) as error:
        yield _finding("server", "problem", str(error))
        return
    if ready.status_code != 200:
        advice = "see its log on stderr; it says what is wrong"
        yield _finding("server", "problem", f"{address} is not ready: {_told(ready)}", advice)
        return
    yield _finding("server", "ok", f"{address} is ready")
    yield from _isolation(client)
    yield _key(client, key)


def _isolation(client: Client) -> Iterator[dict[str, Any]]:
    """What the server found when it tried what runs can reach; told to its own machine, or to a key."""
    with client.reaching():
        measures = client.http.get("/metrics")
    if measures.status_code == 200 and "\ncrewship_runs_isolated 0" in measures.text:
        advice = "the warning at its start says what runs can reach: close it, or trust every project"
        yield _finding("isolation", "warning", "runs are less well kept apart than they should be", advice)
    elif measures.status_code == 200:
        yield _finding("isolation", "ok", "the server's probes found runs kept apart")


def _key(client: Client, key: str | None) -> dict[str, Any]:
    if key is None:
        return _finding("key", "warning", "none is known", "run `crewship login`, or set CREWSHIP_API_KEY")
    try:
        client.get("deployments", limit=1)
    except Refused as refused:
        return _finding("key", "problem", refused.message, "run `crewship login` with a key that the server knows")
    except CommandError as error:
        return _finding("key", "problem", error.message, "try again")
    return _finding("key", "ok", "the server knows it")


def _told(answer: Any) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"it answers {answer.status_code}"


def _finding(check: str, state: str, found: str, advice: str | None = None) -> dict[str, Any]:
    return {"check": check, "state": state, "found": found, "advice": advice}
