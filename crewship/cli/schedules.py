"""`crewship schedules …`: runs that begin by the clock."""

from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client

OVERLAPS = ("skip", "queue", "allow")


@click.group()
def schedules() -> None:
    """Let runs begin by the clock."""


@schedules.command()
@click.argument("cron")
@parameters.named
@click.option("-i", "--input", "given", metavar="JSON|@FILE|-", help="The runs' input: JSON, a file, or - for stdin.")
@click.option("--timezone", "--tz", default="UTC", show_default=True, help="An IANA zone, like Europe/Berlin.")
@parameters.in_environment
@click.option("--overlap", type=click.Choice(OVERLAPS), default="skip", show_default=True, help="While one still runs.")
@click.option(
    "--catch-up", callback=parameters.duration, default="1h", show_default=True, help="How late a run may begin."
)
@click.option("--label", help="What to call it.")
@parameters.as_json
def create(
    cron: str,
    name: str | None,
    given: str | None,
    timezone: str,
    environment: str,
    overlap: str,
    catch_up: float,
    label: str | None,
    as_json: bool,
) -> None:
    """Let runs begin at the times of CRON: five fields, or @hourly, @daily, @weekly, @monthly.

    \b
    Examples:
      crewship schedules create '0 9 * * mon-fri' --tz Europe/Berlin -i '{"topic": "news"}'
      crewship schedules create @daily -n my-agent --overlap queue --catch-up 6h
    """
    body: dict[str, Any] = {"cron": cron, "timezone": timezone, "environment": environment, "overlap": overlap}
    body |= {"input": parameters.run_input(given), "catch_up_seconds": int(catch_up), "name": label}
    schedule = Client.connect().post(*_path(name), body=body)
    if as_json:
        terminal.print_json(schedule)
        return
    terminal.say(schedule["id"])
    terminal.note(f"The first run begins at {terminal.local_time(next(iter(schedule['next']), None)) or 'no time'}.")


@schedules.command("list")
@parameters.named
@parameters.paged
@parameters.as_json
def list_(name: str | None, limit: int, offset: int, as_json: bool) -> None:
    """List the schedules of a deployment.

    \b
    Example:
      crewship schedules list -n my-agent
    """
    answer = Client.connect().get(*_path(name), limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (
            one["id"],
            one["name"],
            one["cron"],
            one["timezone"],
            one["status"],
            terminal.local_time(next(iter(one["next"]), None)),
        )
        for one in answer["schedules"]
    ]
    terminal.print_table(("ID", "NAME", "CRON", "TIME ZONE", "STATUS", "NEXT"), rows, "No schedules.")


@schedules.command()
@click.argument("schedule_id")
@parameters.named
@parameters.as_json
def get(schedule_id: str, name: str | None, as_json: bool) -> None:
    """Show a schedule.

    \b
    Example:
      crewship schedules get sch_abc123
    """
    _print(Client.connect().get(*_path(name, schedule_id)), as_json)


@schedules.command("next")
@click.argument("schedule_id")
@parameters.named
@click.option("--count", type=click.IntRange(1, 100), default=5, show_default=True)
@parameters.as_json
def next_(schedule_id: str, name: str | None, count: int, as_json: bool) -> None:
    """Show the next times of a schedule, in this machine's zone.

    \b
    Example:
      crewship schedules next sch_abc123 --count 10
    """
    times = Client.connect().get(*_path(name, schedule_id), next=count)["next"]
    if as_json:
        terminal.print_json({"next": times})
        return
    for at in times:
        terminal.say(terminal.local_time(at))


@schedules.command()
@click.argument("schedule_id")
@parameters.named
@parameters.as_json
def pause(schedule_id: str, name: str | None, as_json: bool) -> None:
    """Let no run begin until it is resumed.

    \b
    Example:
      crewship schedules pause sch_abc123
    """
    _print(Client.connect().post(*_path(name, schedule_id, "pause")), as_json)


@schedules.command()
@click.argument("schedule_id")
@parameters.named
@parameters.as_json
def resume(schedule_id: str, name: str | None, as_json: bool) -> None:
    """Go on, with the next time; those in between are not made up for.

    \b
    Example:
      crewship schedules resume sch_abc123
    """
    _print(Client.connect().post(*_path(name, schedule_id, "resume")), as_json)


@schedules.command()
@click.argument("schedule_id")
@parameters.named
@parameters.as_json
def delete(schedule_id: str, name: str | None, as_json: bool) -> None:
    """Let no run begin any more.

    \b
    Example:
      crewship schedules delete sch_abc123
    """
    Client.connect().delete(*_path(name, schedule_id))
    terminal.print_json({"id": schedule_id, "deleted": True}) if as_json else terminal.say(f"Deleted {schedule_id}")


@schedules.command()
@click.argument("schedule_id")
@parameters.named
@parameters.paged
@parameters.as_json
def history(schedule_id: str, name: str | None, limit: int, offset: int, as_json: bool) -> None:
    """Show what came of the times of a schedule, newest first.

    \b
    Example:
      crewship schedules history sch_abc123
    """
    answer = Client.connect().get(*_path(name, schedule_id, "history"), limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (terminal.local_time(tick["at"]), tick["outcome"], tick["count"], tick["run_id"] or tick["reason"])
        for tick in answer["history"]
    ]
    terminal.print_table(("TIME", "OUTCOME", "TIMES", "RUN OR REASON"), rows, "None of its times has come yet.")


def _path(name: str | None, *parts: str) -> tuple[str, ...]:
    return ("deployments", parameters.deployment_name(None, name), "schedules", *parts)


def _print(schedule: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(schedule)
        return
    schedule["next"] = terminal.local_time(next(iter(schedule["next"]), None))
    for moment in ("last_at", "created_at", "updated_at"):
        schedule[moment] = terminal.local_time(schedule[moment])
    terminal.print_facts(schedule)
