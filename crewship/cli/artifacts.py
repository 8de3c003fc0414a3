"""`crewship runs artifacts` and `crewship runs download`: the files that a run left."""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import CommandError, Mistake, NoServer

TRIES = 3


@click.command()
@click.argument("run_id")
@parameters.as_json
def artifacts(run_id: str, as_json: bool) -> None:
    """List the files that a run wrote to /app/artifacts.

    \b
    Example:
      crewship runs artifacts run_abc123
    """
    answer = Client.connect().get("runs", run_id, "artifacts")
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (item["name"], terminal.size(item["size"]), item["content_type"], terminal.local_time(item["created_at"]))
        for item in answer["artifacts"]
    ]
    terminal.print_table(("NAME", "SIZE", "TYPE", "CREATED"), rows, f"{run_id} has no artifacts.")


@click.command()
@click.argument("run_id")
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Path(), help="A folder; with NAME also a file, or - for stdout.")
@parameters.as_json
def download(run_id: str, name: str | None, output: str | None, as_json: bool) -> None:
    """Download the artifact NAME of a run, or all of them, into this folder.

    \b
    Examples:
      crewship runs download run_abc123 report.md
      crewship runs download run_abc123 report.md -o - | less
      crewship runs download run_abc123 -o results/
    """
    if output == "-" and (not name or as_json):
        raise Mistake("-o - writes one artifact to standard output: give its NAME, and no --json")
    client = Client.connect()
    found = client.get("runs", run_id, "artifacts")["artifacts"]
    wanted = [item for item in found if name in (None, item["name"])]
    if not wanted:
        there = ", ".join(terminal.harmless(item["name"]) for item in found) or "none"
        raise CommandError(
            f"{run_id} has no artifact {name}; there is: {there}" if name else f"{run_id} has no artifacts"
        )
    if output == "-":
        with tempfile.TemporaryDirectory() as folder:  # nothing is printed that did not arrive whole
            whole = Path(folder) / "artifact"
            fetch(client, run_id, wanted[0], whole)
            with whole.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        return
    written = []
    for item in wanted:
        target = _single(item["name"], output) if name else inside(Path(output or "."), item["name"])
        fetch(client, run_id, item, target)
        written.append({"name": item["name"], "path": str(target), "size": item["size"], "sha256": item["sha256"]})
        if not as_json:
            terminal.say(f"{terminal.harmless(str(target))} ({terminal.size(item['size'])})")
    if as_json:
        terminal.print_json({"files": written})


def _single(name: str, output: str | None) -> Path:
    """Where one artifact goes: the file that was named, or under its own name into a folder."""
    if output is None or Path(output).is_dir() or output.endswith(("/", os.sep)):
        return inside(Path(output or "."), name)
    return Path(output)


def inside(folder: Path, name: str) -> Path:
    """The place of that artifact below the folder. A name, or a link on the way, that leads out is refused."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts) or Path(name).drive:
        raise CommandError(f"the artifact {name!r} is not downloaded: its name leads out of the folder")
    target = folder.joinpath(*parts)
    if not Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder)):
        raise CommandError(f"the artifact {name!r} is not downloaded: a link at {target} leads out of the folder")
    return target


def fetch(client: Client, run_id: str, item: dict[str, Any], target: Path) -> None:
    """Writes the artifact to its place, whole and checked or not at all; a broken download is tried again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        for attempt in range(1, TRIES + 1):
            try:
                _write(client, run_id, item, beside)
                break
            except NoServer:
                if attempt == TRIES:
                    raise
                client.pause(attempt)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _write(client: Client, run_id: str, item: dict[str, Any], path: Path) -> None:
    digest = hashlib.sha256()
    with (
        client.stream("runs", run_id, "artifacts", *item["name"].split("/")) as answer,
        path.open("wb") as file,
    ):
        for piece in answer.iter_bytes(1 << 20):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != item["sha256"]:
        raise CommandError(f"{item['name']} arrived changed (its SHA-256 is not the one on record): try again")
