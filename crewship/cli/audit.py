"""`crewship audit …`: what was recorded, and whether it still is what was written."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import Mistake

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
PAGE = 1_000


def stored(command: Decorated) -> Decorated:
    """--data and --log: without a server, on the log itself."""
    command = click.option("--log", metavar="URL", help="Without a server: the log in that PostgreSQL.")(command)
    text = "Without a server: the log in that data folder, or in a copy."
    return click.option("--data", metavar="DIR", help=text)(command)


@click.group()
def audit() -> None:
    """Read and export the whole log; verify that nothing in it was changed."""


@audit.command()
@click.option("--now", is_flag=True, help="Seal the newest events first; else they follow within seconds.")
@parameters.as_json
def head(now: bool, as_json: bool) -> None:
    """Print the end of the chain of seals. Keep it where nobody who can write the log can change it.

    \b
    Examples:
      crewship audit head --now >> /mnt/elsewhere/heads
      crewship audit verify --head "$(tail -1 /mnt/elsewhere/heads)"
    """
    client = Client.connect()
    answer = client.post("audit", "seal") if now else client.get("audit", "head")
    if as_json:
        terminal.print_json(answer)
    else:
        terminal.say(answer["head"])


@audit.command()
@click.option("--head", "pinned", metavar="HEAD", help="What `crewship audit head` printed once: it must still hold.")
@stored
@parameters.as_json
@click.pass_context
def verify(ctx: click.Context, pinned: str | None, data: str | None, log: str | None, as_json: bool) -> None:
    """Hold every stored event against the seals, and name what was changed, removed or put in.

    \b
    Examples:
      crewship audit verify
      crewship audit verify --data /var/lib/crewship --head 1042:9f86d0…
    """
    total: dict[str, Any] = {"events": 0, "seals": 0, "findings": []}
    for piece in _offline(data, log, pinned) if data or log else _online(pinned):
        total["events"] += piece["events"]
        total["seals"] += piece["seals"]
        total["findings"] += piece["findings"]
        total |= {name: piece[name] for name in ("sealed_up_to", "head", "newest")}
        if sys.stderr.isatty() and not as_json:
            click.echo(f"\r{total['events']} events", err=True, nl=False)
    if as_json:
        terminal.print_json({"ok": not total["findings"], **total})
    else:
        _tell(total)
    ctx.exit(1 if total["findings"] else 0)


def _tell(total: dict[str, Any]) -> None:
    for finding in total["findings"]:
        terminal.say(f"❌ {terminal.harmless(finding['message'])}", fg="red")
    checked = f"{total['events']} events under {total['seals']} seals"
    if total["findings"]:
        count = len(total["findings"])
        terminal.say(f"{checked}: {count} finding{'' if count == 1 else 's'}")
        return
    terminal.say(f"✅ {checked} are as they were written, up to evt_{total['sealed_up_to']:03d}")
    terminal.say(f"head {total['head']}")
    if total["newest"] > total["sealed_up_to"]:
        terminal.note(f"Not sealed yet: what is newer, up to evt_{total['newest']:03d}")


def _online(pinned: str | None) -> Iterator[dict[str, Any]]:
    client = Client.connect()
    after: int | None = 0
    while after is not None:
        piece = client.get("audit", "verify", after=after, head=pinned)
        yield piece
        after = piece["next_after"]


def _offline(data: str | None, log: str | None, pinned: str | None) -> Iterator[dict[str, Any]]:
    import msgspec

    from crewship.config import Settings
    from crewship.operations.audit import pieces
    from domain.seal import read_head

    if pinned is not None and read_head(pinned) is None:
        raise Mistake("--head takes what `crewship audit head` prints, POSITION:ROOT")
    for piece in pieces(Settings.load(data=data, log=log), pinned):
        yield msgspec.to_builtins(piece)


@audit.command()
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to; - is stdout (default).")
@click.option("--types", metavar="A,B", help="Only events stored as these, like key.created.")
@click.option("--stream", metavar="ID", help="Only what happened to that one, like run_abc123.")
@click.option("--by", metavar="ACTOR", help="Only what that actor did, like key:key_abc123.")
@click.option("--since", metavar="TIME", help="From that time on, like 2026-01-31T12:00:00Z.")
@click.option("--until", metavar="TIME", help="Before that time.")
@stored
@parameters.as_json
def export(output: str, data: str | None, log: str | None, as_json: bool, **filters: str | None) -> None:
    """Write every event as a line of JSON: who did what, when, from where. Inputs, outputs and secrets are not in it.

    \b
    Examples:
      crewship audit export --since 2026-01-01T00:00:00Z -o january.jsonl
      crewship audit export --types key.created,key.revoked | jq .actor
    """
    found = _entries_offline(data, log, filters) if data or log else _entries_online(filters)
    count = 0
    with _opened(output) as file:
        for entry in found:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            count += 1
    if output != "-" and as_json:
        terminal.print_json({"events": count, "output": output})
    elif output != "-":
        terminal.note(f"Wrote {count} event{'' if count == 1 else 's'} to {output}")


@contextmanager
def _opened(output: str) -> Iterator[IO[str]]:
    if output == "-":
        yield sys.stdout
        return
    part = Path(f"{output}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yield file
    part.replace(output)


def _entries_online(filters: dict[str, str | None]) -> Iterator[dict[str, Any]]:
    client = Client.connect()
    after, end = 0, None
    while end is None or after < end:
        page = client.get("events", after=after, limit=PAGE, **filters)
        end = client.get("audit", "head")["newest"] if end is None else end
        yield from page["events"]
        if page["next_after"] == after:
            return
        after = page["next_after"]


def _entries_offline(data: str | None, log: str | None, filters: dict[str, str | None]) -> Iterator[dict[str, Any]]:
    from crewship.config import Settings
    from crewship.operations.audit import entries

    yield from entries(Settings.load(data=data, log=log), filters)
