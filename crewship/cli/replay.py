"""`crewship replay …`: a run as it happened, or the whole state as it was."""

import re
import time
from collections.abc import Iterator
from datetime import datetime

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import Mistake
from crewship.cli.stream import RUN_ENDS, EventReader, StreamEvent
from crewship.cli.tree import Tree

QUIET = 1.0
"""How long a stream must be silent to be taken as read to its present end, in seconds."""


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, help="2 is twice as fast.")
@click.option("--logs", is_flag=True, help="Draw log lines and generated text too.")
@click.option("--until", metavar="POSITION", help="Without RUN: serve the state as of that event, like evt_1042.")
@click.option("--at", metavar="TIME", help="Without RUN: serve the state of that moment, like 2026-01-31T12:00:00Z.")
@click.option("--data", metavar="DIR", help="With --until or --at: the data folder (CREWSHIP_DATA, else .data).")
@click.option("--log", metavar="URL", help="With --until or --at: the log, where it is in PostgreSQL.")
@click.option("--host", help="With --until or --at: where to listen (else 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="With --until or --at (else any that is free).")
@parameters.as_json
def replay(
    run_id: str | None,
    speed: float,
    logs: bool,
    until: str | None,
    at: str | None,
    data: str | None,
    log: str | None,
    host: str | None,
    port: int,
    as_json: bool,
) -> None:
    """Play a run again as it happened, with its pauses; nothing is executed. Or open a server on the past.

    \b
    Examples:
      crewship replay run_abc123 --speed 4
      crewship replay --at 2026-01-31T12:00:00Z --data /var/lib/crewship
    """
    if (run_id is None) == (until is None and at is None):
        raise Mistake("name a run, or say --until POSITION or --at TIME for a server on the past")
    if run_id is not None:
        _play(run_id, speed, logs, as_json)
        return
    if until is not None and at is not None:
        raise Mistake("--until and --at are two ways to say the same: give one")

    from crewship.config import Settings
    from crewship.operations.past import serve_past

    settings = Settings.load(data=data, log=log, host=host, port=port)
    serve_past(settings, _position(until), _moment(at))


def _play(run_id: str, speed: float, logs: bool, as_json: bool) -> None:
    client = Client.connect()
    client.get("runs", run_id)
    reader = EventReader(client, "runs", run_id, "events", ends=RUN_ENDS, notify=terminal.note, quiet=QUIET)
    tree = Tree(logs=logs)
    for event in _paced(reader, speed):
        if as_json:
            click.echo(event.raw.replace("\n", " "))
            continue
        for line in tree.lines(event):
            terminal.say(line.text, **line.style)


def _paced(events: EventReader, speed: float) -> Iterator[StreamEvent]:
    """Each event as long after the first as it happened; what comes late already is not held back further."""
    began: tuple[datetime, float] | None = None
    for event in events:
        happened = datetime.fromisoformat(str(event.data["timestamp"]))
        if began is None:
            began = happened, time.monotonic()
        due = began[1] + (happened - began[0]).total_seconds() / speed
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        yield event


def _position(given: str | None) -> int | None:
    if given is None:
        return None
    match = re.fullmatch(r"(?:evt_)?([0-9]{1,18})", given.strip())
    if match is None:
        raise Mistake(f"--until takes an event's id or position, like evt_1042, not {given!r}")
    return int(match[1])


def _moment(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise Mistake(f"--at takes a time, like 2026-01-31T12:00:00Z, not {given!r}") from None
    return moment.astimezone()  # a time without a zone is one of this machine's
