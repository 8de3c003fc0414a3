"""`crewship deploy`: pack, upload, follow the build, say what is live."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import click

from crewship.cli import parameters, snapshot, terminal
from crewship.cli.client import Client
from crewship.cli.errors import CommandError, Mistake, Refused
from crewship.cli.stream import BUILD_ENDS, EventReader, StreamEvent
from crewship.cli.versions import rollback_target
from domain import manifest

PIECE = 256 * 1024


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@parameters.in_environment
@click.option(
    "--rollback", metavar="ID", help="Go back to a version: ver_…, its number, or dep_… for the previous one."
)
@click.option("-n", "--name", metavar="NAME", help="The deployment; picks one where crewship.toml has several.")
@parameters.as_json
@click.pass_context
def deploy(
    ctx: click.Context, path: Path | None, environment: str, rollback: str | None, name: str | None, as_json: bool
) -> None:
    """Make a version of the project in PATH (default: this folder) and put it live.

    What .gitignore and [build] exclude name stays here, and so does every .env file.

    \b
    Examples:
      crewship deploy
      crewship deploy my-agent --environment staging
      crewship deploy --rollback 3
    """
    client = Client.connect()
    folder = path or Path()
    if rollback is not None:
        _roll_back(client, rollback, name, folder, environment, as_json)
        return
    if not folder.is_dir():
        raise Mistake(f"{folder} is not a folder")
    file = parameters.read_manifest(folder)
    wanted = file.deployment(name)
    called = wanted.name or manifest.slug(folder.resolve().name)
    with snapshot.temporary() as archive:
        packed = snapshot.pack(folder, wanted.exclude, archive)
        count = f"{len(packed.names)} file{'' if len(packed.names) == 1 else 's'}"
        terminal.note(f"Packed {count}, {terminal.size(packed.size)} ({terminal.size(packed.packed)} to upload)")
        deployment = find_or_create(client, called)
        version = _upload(client, deployment["id"], environment, archive, packed.packed)
    end = _follow(client, deployment["name"], version, to_stderr=as_json)
    _conclude(ctx, deployment, version, end, environment, as_json)


def find_or_create(client: Client, name: str) -> dict[str, Any]:
    """The deployment of that name, made now where there is none."""
    for make in (False, True, False):  # the last time only where somebody else made it first
        try:
            deployment: dict[str, Any] = (
                client.post("deployments", body={"name": name}) if make else client.get("deployments", name)
            )
        except Refused as refused:
            if refused.status != (409 if make else 404) or name.startswith("dep_"):
                raise
            continue
        if make:
            terminal.note(f"Created deployment {deployment['name']} ({deployment['id']})")
        return deployment
    raise CommandError(f"deployment {name} comes and goes: try again")


def _upload(client: Client, deployment: str, environment: str, archive: IO[bytes], length: int) -> dict[str, Any]:
    with _progress(length) as progress:

        def pieces() -> Iterator[bytes]:
            archive.seek(0)
            sent = 0
            while piece := archive.read(PIECE):
                yield piece
                sent += len(piece)
                if progress is not None:
                    progress.update(progress.task_ids[0], completed=sent)

        where = {"environment": environment}
        answer: dict[str, Any] = client.upload(
            "deployments", deployment, "versions", content=pieces, length=length, params=where
        )
        return answer


def _progress(length: int) -> Any:
    """A bar on stderr that goes away when it is full; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        return nullcontext(None)
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    progress.add_task("Uploading", total=length)
    return progress


def _follow(client: Client, name: str, version: dict[str, Any], to_stderr: bool) -> StreamEvent:
    """Writes the build's log as it comes, and returns the event that ended the build."""
    number, version_id = version["version_number"], version["version_id"]
    terminal.note(f"Building version {number} of {name} ({version_id})")
    reader = EventReader(client, "versions", version_id, "events", ends=BUILD_ENDS, notify=terminal.note)
    try:
        for event in reader:
            if event.type in BUILD_ENDS:
                return event
            if event.type == "log":
                _write_log(event.payload, to_stderr)
    except KeyboardInterrupt:
        terminal.note(f"\nThe build goes on. Look at it with: crewship versions get {version_id}")
        raise
    raise CommandError(f"the build's events ended without an end: see `crewship versions get {version_id}`")


def _write_log(payload: dict[str, Any], to_stderr: bool) -> None:
    text = terminal.harmless(str(payload.get("message", "")))
    if to_stderr:
        terminal.note(text)
    else:
        loud = payload.get("level") in ("warning", "error")
        terminal.say(f"  {text}", **({"fg": "yellow"} if loud else {"dim": True}))


def _conclude(
    ctx: click.Context,
    deployment: dict[str, Any],
    version: dict[str, Any],
    end: StreamEvent,
    environment: str,
    as_json: bool,
) -> None:
    """Says what is live now, and ends with 1 where the build failed."""
    ready = end.type == "version.ready"
    if as_json:
        facts = {"deployment_id": deployment["id"]}
        facts |= {name: version[name] for name in ("version_id", "version_number")}
        terminal.print_json_line({**facts, "status": "ready" if ready else "failed"})
    number = version["version_number"]
    if not ready:
        error = terminal.harmless(str(end.payload.get("error", "no reason given")))
        before = "" if as_json else " (what was live still is)"
        click.echo(f"error: version {number} could not be built: {error}{before}", err=True)
        ctx.exit(1)
    if as_json:
        return
    live = end.payload.get("activated", True)
    if live:
        terminal.say(f"✅ Version {number} of {deployment['name']} is live in {environment}", fg="green")
    else:
        why = end.payload.get("note") or "another version stays live"
        terminal.say(f"⚠ Version {number} is built but not live in {environment}: {why}", fg="yellow")
    option = "" if environment == "production" else f" --environment {environment}"
    terminal.say(f"""  Try it: crewship invoke {deployment["name"]}{option} --input '{{"topic": "AI"}}' --stream""")


def _roll_back(client: Client, wanted: str, name: str | None, folder: Path, environment: str, as_json: bool) -> None:
    deployment, version_id = rollback_target(client, wanted, name, folder)
    body = {"environment": environment} | ({"version_id": version_id} if version_id else {})
    version = client.post("deployments", deployment, "rollback", body=body)
    if as_json:
        facts = {"deployment_id": version["deployment_id"], "version_id": version["id"]}
        terminal.print_json_line({**facts, "version_number": version["version_number"], "status": version["status"]})
        return
    terminal.say(f"✅ Version {version['version_number']} ({version['id']}) is live in {environment} again", fg="green")
