"""`crewship runs erase`, `crewship thread erase`: what they hold of a person is destroyed."""

from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client


@click.command("erase")
@click.argument("run_id")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@parameters.as_json
def erase_run(run_id: str, yes: bool, as_json: bool) -> None:
    """Destroy what an ended run was given, said, gave back and left behind. It cannot be undone.

    That the run was, when, and how it ended stays; the audit still proves the log. Takes a key with the scope admin.

    \b
    Example:
      crewship runs erase run_abc123 --yes
    """
    client = Client.connect()
    client.get("runs", run_id)
    if not yes:
        question = f"Destroy the input, output, events and artifacts of {run_id} for ever?"
        click.confirm(question, abort=True, err=True)
    _tell(client.delete("runs", run_id, "data"), as_json)


@click.command("erase")
@click.argument("thread_id")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@parameters.as_json
def erase_thread(thread_id: str, yes: bool, as_json: bool) -> None:
    """Destroy what a conversation remembers, with the data of all its runs. It cannot be undone.

    It takes no more runs. Copies are conversations of their own. One that was deleted can be erased too. Takes a key
    with the scope admin.

    \b
    Example:
      crewship thread erase thr_abc123 --yes
    """
    client = Client.connect()
    if not yes:
        question = f"Destroy all that {thread_id} remembers, and the data of its runs, for ever?"
        click.confirm(question, abort=True, err=True)
    _tell(client.delete("threads", thread_id, "data"), as_json)


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(told)
        return
    many = f" and the data of {told['runs']} of its runs" if told["id"].startswith("thr_") and told["runs"] else ""
    if told["destroyed_at"] is None:
        terminal.say(f"{told['id']}{many} will be gone in a moment; nothing of it is shown any more", fg="yellow")
    else:
        terminal.say(f"Erased {told['id']}{many}")
