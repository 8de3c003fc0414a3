"""Waits for a run, or watches it, until it has ended."""

import time
from typing import Any

import click

from crewship.cli import terminal
from crewship.cli.client import Client
from crewship.cli.errors import NoServer, Refused
from crewship.cli.stream import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, RUN_ENDS, EventReader, StreamEvent, TookTooLong
from crewship.cli.tree import Line, Tree

_STATUS = {"run.completed": "succeeded", "run.failed": "failed", "run.canceled": "canceled"}
LONG_POLL = 30


def wait_for_run(client: Client, run_id: str, deadline: float | None = None) -> dict[str, Any]:
    """The run when it has ended. A server that is away for a while is waited for, too."""
    alive, pause, lost = time.monotonic(), FIRST_PAUSE, False
    while True:
        left = LONG_POLL if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise TookTooLong("the time is over")
        try:
            run: dict[str, Any] = client.get("runs", run_id, "wait", timeout=max(1, round(min(left, LONG_POLL))))
        except (NoServer, Refused) as error:
            gone = isinstance(error, NoServer) or error.status in (502, 503, 504)
            if not gone or time.monotonic() - alive > PATIENCE:
                raise
            if not lost:
                terminal.note("Connection lost, trying again …")
            lost = True
            client.pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            continue
        if lost:
            terminal.note("Connected again.")
        if run["status"] not in ("pending", "running"):
            return run
        alive, pause, lost = time.monotonic(), FIRST_PAUSE, False


def draw_run(
    client: Client,
    run_id: str,
    *,
    logs: bool,
    as_json: bool,
    timeout: float | None = None,
    quiet: float | None = None,
    types: str | None = None,
) -> str | None:
    """Draws the run's events, or writes each as a line of JSON; the status that it ended with, if that was seen."""
    reader = EventReader(
        client,
        *("runs", run_id, "events"),
        ends=RUN_ENDS,
        notify=terminal.note,
        types=types,
        timeout=timeout,
        quiet=quiet,
    )
    tree = Tree(logs=logs)
    status = None
    for event in reader:
        if as_json:
            click.echo(event.raw.replace("\n", " "))
        else:
            # Who asks for certain types wants to see them, also those that the drawing leaves out.
            lines = tree.lines(event) or ([_plainly(event)] if types else [])
            for line in lines:
                terminal.say(line.text, **line.style)
        status = _STATUS.get(event.type, status)
    return status


def _plainly(event: StreamEvent) -> Line:
    """An event that has no place in the drawing: its type and what it holds."""
    held = terminal.one_line(event.payload)
    return Line(f"├─ [{terminal.local_time(event.data.get('timestamp'))[-8:]}] {event.type} {held}", {"dim": True})
