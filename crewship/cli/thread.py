"""`crewship thread …`: conversations, and what they remember."""

import json
from collections.abc import Iterator
from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.erasing import erase_thread

STATUSES = ("idle", "busy", "interrupted", "error")


@click.group()
def thread() -> None:
    """Begin conversations, look at them and at what they remember; have them forgotten."""


thread.add_command(erase_thread)


def _shown(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(item)
        return
    facts = dict(item)
    for moment in ("created_at", "updated_at"):
        facts[moment] = terminal.local_time(item.get(moment))
    terminal.print_facts(facts)


@thread.command()
@click.argument("deployment", required=False)
@parameters.named
@click.option("--metadata", metavar="JSON|@FILE|-", help="Anything that you want to find again.")
@click.option("--values", metavar="JSON|@FILE|-", help="What the conversation knows from the start.")
@parameters.as_json
def create(deployment: str | None, name: str | None, metadata: str | None, values: str | None, as_json: bool) -> None:
    """Begin a conversation with DEPLOYMENT and print its id.

    \b
    Examples:
      crewship thread create support-agent
      crewship thread create support-agent --metadata '{"user": "ada"}'
    """
    body: dict[str, Any] = {"deployment_id": parameters.deployment_name(deployment, name)}
    if metadata is not None:
        body["metadata"] = parameters.run_input(metadata)
    if values is not None:
        body["values"] = parameters.run_input(values)
    item = Client.connect().post("threads", body=body)
    terminal.print_json(item) if as_json else terminal.say(item["thread_id"])


@thread.command("list")
@click.argument("deployment", required=False)
@parameters.named
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@parameters.paged
@parameters.as_json
def list_(deployment: str | None, name: str | None, status: str | None, limit: int, offset: int, as_json: bool) -> None:
    """List the conversations of DEPLOYMENT, newest first.

    \b
    Example:
      crewship thread list support-agent --status interrupted
    """
    wanted = {"deployment_id": parameters.deployment_name(deployment, name), "status": status}
    answer = Client.connect().get("threads", **wanted, limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (item["thread_id"], item["status"], terminal.one_line(item["metadata"], 40), terminal.local_time(moment))
        for item in answer["threads"]
        for moment in (item["updated_at"],)
    ]
    empty = "No threads. Begin one: crewship thread create, or crewship chat"
    terminal.print_table(("ID", "STATUS", "METADATA", "UPDATED"), rows, empty)


@thread.command()
@click.argument("thread_id")
@parameters.as_json
def get(thread_id: str, as_json: bool) -> None:
    """Show a conversation: its status, its values, what it asks.

    \b
    Example:
      crewship thread get thr_abc123 --json
    """
    _shown(Client.connect().get("threads", thread_id), as_json)


@thread.command()
@click.argument("thread_id")
@click.option("--steps", is_flag=True, help="Every super-step of the graph, not just one a run.")
@parameters.paged
@parameters.as_json
def history(thread_id: str, steps: bool, limit: int, offset: int, as_json: bool) -> None:
    """Show what changed from one checkpoint to the next, newest first.

    \b
    Example:
      crewship thread history thr_abc123
    """
    params = {"steps": "true" if steps else None, "limit": limit, "offset": offset}
    answer = Client.connect().get("threads", thread_id, "history", **params)
    if as_json:
        terminal.print_json(answer)
        return
    checkpoints = answer["checkpoints"]
    if not checkpoints:
        terminal.say(f"{thread_id} remembers nothing yet.")
    for number, checkpoint in enumerate(checkpoints):
        made = checkpoint["run_id"] or checkpoint["source"] or ""
        moment = terminal.local_time(checkpoint["created_at"])
        terminal.say(f"● {checkpoint['checkpoint_id']}  {moment}  {made}", bold=True)
        older = checkpoints[number + 1]["values"] if number + 1 < len(checkpoints) else None
        if number + 1 == len(checkpoints) and len(checkpoints) == limit:
            older = checkpoint["values"]  # what was before it is on the next page
        for line, style in changes(older or {}, checkpoint["values"] or {}):
            terminal.say(f"  {line}", **style)


def changes(before: Any, after: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """What differs between two states, key by key: lines with + - ~, lists by what was added at their end."""
    before, after = (value if isinstance(value, dict) else {"value": value} for value in (before, after))
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            yield f"- {key}: {terminal.one_line(before[key], 100)}", {"fg": "red"}
        elif key not in before:
            yield from _added(key, [], after[key])
        elif before[key] != after[key]:
            yield from _added(key, before[key], after[key])


def _added(key: str, before: Any, after: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(after, list) and isinstance(before, list) and after[: len(before)] == before:
        for item in after[len(before) :]:
            yield f"+ {key}: {said(item)}", {"fg": "green"}
    elif before == []:
        yield f"+ {key}: {terminal.one_line(after, 100)}", {"fg": "green"}
    else:
        yield f"~ {key}: {terminal.one_line(before, 60)} → {terminal.one_line(after, 60)}", {"fg": "yellow"}


def said(item: Any) -> str:
    """A message as who says what; anything else as JSON."""
    if isinstance(item, dict) and "content" in item and ("type" in item or "role" in item):
        content = item["content"]
        shown = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        return terminal.harmless(f"{item.get('role') or item.get('type')}: {shown}".replace("\n", " "))[:200]
    return terminal.one_line(item, 120)


@thread.command()
@click.argument("thread_id")
@click.option("--checkpoint", metavar="ID", help="Branch off there; else from where it is now.")
@parameters.as_json
def copy(thread_id: str, checkpoint: str | None, as_json: bool) -> None:
    """Copy a conversation with its history, or branch off from one of its checkpoints; print the new id.

    \b
    Examples:
      crewship thread copy thr_abc123
      crewship thread copy thr_abc123 --checkpoint 1f0c…
    """
    body = {"checkpoint_id": checkpoint} if checkpoint else {}
    item = Client.connect().post("threads", thread_id, "copy", body=body)
    terminal.print_json(item) if as_json else terminal.say(item["thread_id"])


@thread.command()
@click.argument("thread_id")
@click.option("--values", metavar="JSON|@FILE|-", help="New values, merged by the graph's own rules.")
@click.option("--checkpoint", metavar="ID", help="Go back to this checkpoint.")
@click.option("--as-node", metavar="NODE", help="As if this node had given the values.")
@parameters.as_json
def edit(thread_id: str, values: str | None, checkpoint: str | None, as_node: str | None, as_json: bool) -> None:
    """Correct what a conversation knows, or take it back to a checkpoint. Nothing of its history is lost.

    \b
    Examples:
      crewship thread edit thr_abc123 --values '{"topic": "tea"}'
      crewship thread edit thr_abc123 --checkpoint 1f0c…
    """
    body: dict[str, Any] = {"checkpoint_id": checkpoint, "as_node": as_node}
    if values is not None:
        body["values"] = parameters.run_input(values)
    made = Client.connect().post("threads", thread_id, "state", body=body)
    terminal.print_json(made) if as_json else terminal.say(made.get("checkpoint_id") or made["run_id"])


@thread.command()
@click.argument("thread_id")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@parameters.as_json
def delete(thread_id: str, yes: bool, as_json: bool) -> None:
    """Delete a conversation. Its runs stay.

    \b
    Example:
      crewship thread delete thr_abc123 --yes
    """
    client = Client.connect()
    client.get("threads", thread_id)
    if not yes:
        click.confirm(f"Delete {thread_id}? It takes no runs any more", abort=True, err=True)
    client.delete("threads", thread_id)
    if as_json:
        terminal.print_json({"thread_id": thread_id, "deleted": True})
    else:
        terminal.say(f"Deleted {thread_id}")
