"""`crewship runs …`: what ran, how it went, and how to stop it."""

from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.artifacts import artifacts, download
from crewship.cli.client import Client
from crewship.cli.erasing import erase_run
from crewship.cli.errors import CommandError, Mistake
from crewship.cli.invoke import conclude, stay
from crewship.cli.stream import RUN_ENDS, EventReader, TookTooLong
from crewship.cli.watch import draw_run, wait_for_run

STATUSES = ("pending", "running", "succeeded", "failed", "canceled")
# How long a stream of a running run must be silent to be taken as read to its present end.
QUIET = 1.0


@click.group()
def runs() -> None:
    """Look at runs, their events, logs and artifacts; cancel them, run them again."""


runs.add_command(artifacts)
runs.add_command(download)
runs.add_command(erase_run)


@runs.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@click.option("--deployment", metavar="NAME", help="Only those of this deployment.")
@click.option("--environment", "-e", type=click.Choice(parameters.ENVIRONMENTS), help="Only those in it.")
@parameters.paged
@parameters.as_json
def list_(
    status: str | None, deployment: str | None, environment: str | None, limit: int, offset: int, as_json: bool
) -> None:
    """List runs, newest first.

    \b
    Examples:
      crewship runs list --status failed
      crewship runs list --deployment my-agent --limit 100 --json
    """
    client = Client.connect()
    if deployment and not deployment.startswith("dep_"):
        deployment = client.get("deployments", deployment)["id"]
    wanted = {"status": status, "deployment_id": deployment, "environment": environment}
    answer = client.get("runs", **wanted, limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (
            run["id"],
            run["status"],
            run["deployment_id"],
            run["version_number"],
            run["environment"],
            terminal.local_time(run["created_at"]),
            terminal.seconds(run.get("duration_ms")),
        )
        for run in answer["runs"]
    ]
    columns = ("ID", "STATUS", "DEPLOYMENT", "VERSION", "ENVIRONMENT", "CREATED", "TOOK")
    terminal.print_table(columns, rows, "No runs. Start one: crewship invoke NAME --input '{}'")


@runs.command()
@click.argument("run_id")
@parameters.as_json
def get(run_id: str, as_json: bool) -> None:
    """Show one run with its input and output.

    \b
    Example:
      crewship runs get run_abc123 --json
    """
    run = Client.connect().get("runs", run_id)
    if as_json:
        terminal.print_json(run)
        return
    for moment in ("created_at", "started_at", "completed_at"):
        run[moment] = terminal.local_time(run.get(moment))
    terminal.print_facts(run)


@runs.command()
@click.argument("run_id")
@click.option(
    "--follow/--no-follow", default=True, help="Stay until the run has ended (default), or show what is there."
)
@click.option("--types", metavar="A,B", help="Only these types of events.")
@click.option("--logs", is_flag=True, help="Draw log lines and generated text too.")
@parameters.as_json
def events(run_id: str, follow: bool, types: str | None, logs: bool, as_json: bool) -> None:
    """Draw a run's events from its beginning; with --json, one event a line.

    \b
    Examples:
      crewship runs events run_abc123
      crewship runs events run_abc123 --types agent.started,artifact --json
    """
    client = Client.connect()
    client.get("runs", run_id)  # a wrong id or no server is told at once, not after minutes of trying
    quiet = None if follow else QUIET
    try:
        draw_run(client, run_id, logs=logs, as_json=as_json, types=types, quiet=quiet)
    except KeyboardInterrupt:
        terminal.note("\nStopped looking; the run itself goes on.")
        raise


@runs.command()
@click.argument("run_id")
@click.option(
    "--follow/--no-follow", default=True, help="Stay until the run has ended (default), or show what is there."
)
@parameters.as_json
def logs(run_id: str, follow: bool, as_json: bool) -> None:
    """Print what a run has logged, line by line.

    \b
    Example:
      crewship runs logs run_abc123 | grep -i error
    """
    client = Client.connect()
    client.get("runs", run_id)
    types = ",".join(["log", *sorted(RUN_ENDS)])  # with its end, so that the reader knows when to stop
    quiet = None if follow else QUIET
    path = ("runs", run_id, "events")
    for event in EventReader(client, *path, ends=RUN_ENDS, notify=terminal.note, types=types, quiet=quiet):
        if event.type != "log":
            continue
        if as_json:
            terminal.print_json_line(event.data)
        else:
            terminal.say(terminal.harmless(str(event.payload.get("message", ""))))


@runs.command()
@click.argument("run_id")
@parameters.as_json
def cancel(run_id: str, as_json: bool) -> None:
    """Stop a run that is pending or running.

    \b
    Example:
      crewship runs cancel run_abc123
    """
    answer = Client.connect().post("runs", run_id, "cancel")
    if as_json:
        terminal.print_json(answer)
    elif answer["status"] == "canceled":
        terminal.say(f"⏹ {run_id} canceled", fg="yellow")
    else:
        terminal.say(f"{run_id} was asked to stop and is still {answer['status']}", fg="yellow")


@runs.command()
@click.argument("run_id")
@click.option("--active", is_flag=True, help="By the version that is live now, not by the one that it had.")
@click.option("-i", "--input", "given", metavar="JSON|@FILE|-", help="Another input than the one that it had.")
@click.option("--stream", is_flag=True, help="Draw what happens while it happens.")
@click.option("--detach", is_flag=True, help="Print the new run's id and do not wait.")
@parameters.as_json
@click.pass_context
def rerun(
    ctx: click.Context, run_id: str, active: bool, given: str | None, stream: bool, detach: bool, as_json: bool
) -> None:
    """Run again what a run was asked to do: a new run, in the same thread if it had one.

    \b
    Examples:
      crewship runs rerun run_abc123 --stream
      crewship runs rerun run_abc123 --active -i '{"topic": "AI"}'
    """
    if detach and stream:
        raise Mistake("--detach does not wait, so there is nothing to --stream: leave one of them out")
    body: dict[str, Any] = {"version": "active" if active else "same"}
    if given is not None:
        body["input"] = parameters.run_input(given)
    client = Client.connect()
    run = client.post_once("runs", run_id, "rerun", body=body)
    if detach:
        terminal.print_json_line(run) if as_json else terminal.say(run["run_id"])
        return
    ctx.exit(stay(client, run["run_id"], stream, logs=False, timeout=None, as_json=as_json))


@runs.command()
@click.argument("run_id")
@click.option("--timeout", callback=parameters.duration, metavar="TIME", help="Wait so long at most, like 90s or 5m.")
@parameters.as_json
@click.pass_context
def wait(ctx: click.Context, run_id: str, timeout: float | None, as_json: bool) -> None:
    """Wait until a run has ended, then print its output as JSON.

    \b
    Example:
      crewship runs wait run_abc123 --timeout 10m
    """
    import time

    client = Client.connect()
    client.get("runs", run_id)
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        run = wait_for_run(client, run_id, deadline)
    except TookTooLong:
        raise CommandError(f"{run_id} has not ended after {timeout:g}s and goes on") from None
    ctx.exit(conclude(run, as_json))
