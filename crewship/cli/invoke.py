"""`crewship invoke`: start a run, then wait for it, watch it, or leave it be."""

import time
from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import CommandError, Mistake
from crewship.cli.stream import TookTooLong
from crewship.cli.watch import draw_run, wait_for_run


@click.command()
@click.argument("deployment", required=False)
@parameters.named
@click.option("-i", "--input", "given", metavar="JSON|@FILE|-", help="The run's input: JSON, a file, or - for stdin.")
@parameters.in_environment
@click.option("--thread", "thread_id", metavar="ID", help="Run in this conversation.")
@click.option("--stream", is_flag=True, help="Draw what happens while it happens.")
@click.option("--logs", is_flag=True, help="Draw log lines and generated text too (implies --stream).")
@click.option("--detach", is_flag=True, help="Print the run's id and do not wait.")
@click.option("--timeout", callback=parameters.duration, metavar="TIME", help="Wait so long at most; the run goes on.")
@parameters.as_json
@click.pass_context
def invoke(
    ctx: click.Context,
    deployment: str | None,
    name: str | None,
    given: str | None,
    environment: str,
    thread_id: str | None,
    stream: bool,
    logs: bool,
    detach: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Start a run of DEPLOYMENT (default: the one of ./crewship.toml) and print its output as JSON.

    \b
    Examples:
      crewship invoke --input '{"topic": "AI"}' --stream
      crewship invoke my-agent -i @input.json > output.json
      crewship invoke --thread thr_abc123 -i '{"message": "And then?"}'
      echo '{"topic": "AI"}' | crewship invoke my-agent -i - --detach
    """
    stream = stream or logs
    if detach and stream:
        raise Mistake("--detach does not wait, so there is nothing to --stream: leave one of them out")
    body = {"input": parameters.run_input(given), "environment": environment}
    client = Client.connect()
    if thread_id is not None:
        run = client.post_once("threads", thread_id, "runs", body=body)
    else:
        run = client.post_once("runs", body={"deployment_id": parameters.deployment_name(deployment, name), **body})
    if detach:
        terminal.print_json_line(run) if as_json else terminal.say(run["run_id"])
        return
    ctx.exit(stay(client, run["run_id"], stream, logs, timeout, as_json))


def stay(client: Client, run_id: str, stream: bool, logs: bool, timeout: float | None, as_json: bool) -> int:
    """Watches or waits until the run has ended; the command's exit code."""
    try:
        if stream:
            status = draw_run(client, run_id, logs=logs, as_json=as_json, timeout=timeout)
            return 0 if status == "succeeded" else 1
        deadline = None if timeout is None else time.monotonic() + timeout
        return conclude(wait_for_run(client, run_id, deadline), as_json)
    except KeyboardInterrupt:
        terminal.note(f"\nThe run goes on. Follow it: crewship runs events {run_id}")
        terminal.note(f"Cancel it:                crewship runs cancel {run_id}")
        return 130
    except TookTooLong:
        follow = f"follow it with `crewship runs events {run_id}`"
        raise CommandError(f"{run_id} has not ended after {timeout:g}s and goes on: {follow}") from None
    except CommandError as error:
        error.hint = f" (the run is {run_id}: `crewship runs events {run_id}` follows it)"
        raise


def conclude(run: dict[str, Any], as_json: bool) -> int:
    """Prints how the run ended; the command's exit code."""
    succeeded = run["status"] == "succeeded"
    if as_json:
        terminal.print_json(run)
    elif succeeded:
        terminal.print_json(run["output"])
        took = terminal.seconds(run.get("duration_ms"))
        terminal.note(f"{run['id']} succeeded" + (f" in {took}" if took else ""))
    if run["status"] == "canceled":
        click.echo(f"error: {run['id']} was canceled", err=True)
    elif not succeeded:
        error = terminal.harmless(run.get("error_message") or "no reason given")
        click.echo(f"error: {run['id']} failed: {error} (see `crewship runs events {run['id']} --logs`)", err=True)
    return 0 if succeeded else 1
