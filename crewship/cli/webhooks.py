"""`crewship webhooks …`: tokens that start runs, endpoints that are told how runs ended."""

from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import CommandError

EVENTS = ("run.succeeded", "run.failed", "run.canceled")
STATUSES = ("pending", "succeeded", "failed")


@click.group()
def webhooks() -> None:
    """Let others start runs, and be told how runs ended."""


@webhooks.command()
@click.argument("label")
@parameters.named
@click.option("--url", metavar="URL", help="Tell this address how runs ended; without it, make a token.")
@click.option("--event", "events", type=click.Choice(EVENTS), multiple=True, help="May be repeated; else all of them.")
@parameters.in_environment
@parameters.as_json
def create(
    label: str, name: str | None, url: str | None, events: tuple[str, ...], environment: str, as_json: bool
) -> None:
    """Make a webhook called LABEL, and show its token or secret, this once.

    \b
    Examples:
      crewship webhooks create from-the-form -n my-agent
      crewship webhooks create alerts --url https://example.com/hook --event run.failed
    """
    body: dict[str, Any] = {"name": label, "direction": "outgoing" if url else "incoming"}
    body |= {"url": url} if url else {"environment": environment}
    if events:
        body["events"] = list(events)
    _print_new(Client.connect().post(*_path(name), body=body), as_json)


@webhooks.command("list")
@parameters.named
@parameters.paged
@parameters.as_json
def list_(name: str | None, limit: int, offset: int, as_json: bool) -> None:
    """List the webhooks of a deployment.

    \b
    Example:
      crewship webhooks list -n my-agent
    """
    answer = Client.connect().get(*_path(name), limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (hook["id"], hook["name"], hook["direction"], hook.get("url") or hook.get("environment"), hook.get("status"))
        for hook in answer["webhooks"]
    ]
    terminal.print_table(("ID", "NAME", "DIRECTION", "URL OR ENVIRONMENT", "STATUS"), rows, "No webhooks.")


@webhooks.command()
@click.argument("webhook_id")
@parameters.named
@parameters.as_json
def get(webhook_id: str, name: str | None, as_json: bool) -> None:
    """Show a webhook, and why it is paused if it is.

    \b
    Example:
      crewship webhooks get whk_abc123
    """
    _print(Client.connect().get(*_path(name, webhook_id)), as_json)


@webhooks.command()
@click.argument("webhook_id")
@parameters.named
@click.option("--label", help="Another name.")
@click.option("--url", metavar="URL", help="Another address.")
@click.option("--event", "events", type=click.Choice(EVENTS), multiple=True, help="Other events; may be repeated.")
@click.option("--environment", "-e", type=click.Choice(parameters.ENVIRONMENTS), help="Another environment.")
@parameters.as_json
def update(
    webhook_id: str,
    name: str | None,
    label: str | None,
    url: str | None,
    events: tuple[str, ...],
    environment: str | None,
    as_json: bool,
) -> None:
    """Change what is given.

    \b
    Example:
      crewship webhooks update whk_abc123 --url https://example.com/other
    """
    wanted = {"name": label, "url": url, "events": list(events) or None, "environment": environment}
    body = {field: value for field, value in wanted.items() if value is not None}
    _print(Client.connect().ask("PATCH", *_path(name, webhook_id), json=body), as_json)


@webhooks.command()
@click.argument("webhook_id")
@parameters.named
@parameters.as_json
def rotate(webhook_id: str, name: str | None, as_json: bool) -> None:
    """Make a new token or secret and show it, this once.

    An old token ends at once; an old secret goes on signing beside the new one for a day.

    \b
    Example:
      crewship webhooks rotate whk_abc123
    """
    _print_new(Client.connect().post(*_path(name, webhook_id, "rotate")), as_json)


@webhooks.command()
@click.argument("webhook_id")
@parameters.named
@parameters.as_json
def resume(webhook_id: str, name: str | None, as_json: bool) -> None:
    """Tell a paused endpoint again, of what waits for it first.

    \b
    Example:
      crewship webhooks resume whk_abc123
    """
    _print(Client.connect().post(*_path(name, webhook_id, "resume")), as_json)


@webhooks.command()
@click.argument("webhook_id")
@parameters.named
@parameters.as_json
def test(webhook_id: str, name: str | None, as_json: bool) -> None:
    """Send a ping and say what came of it.

    \b
    Example:
      crewship webhooks test whk_abc123
    """
    delivery = Client.connect().post(*_path(name, webhook_id, "test"))
    if as_json:
        terminal.print_json(delivery)
    attempt = (delivery["attempts"] or [{}])[-1]
    if delivery["status"] != "succeeded":
        raise CommandError(f"the endpoint was not reached: {attempt.get('error') or 'no answer yet'}")
    if not as_json:
        terminal.say(f"✅ Answered {attempt['status_code']} in {attempt['duration_ms']} ms", fg="green")


@webhooks.command()
@click.argument("webhook_id")
@click.argument("delivery_id", required=False)
@parameters.named
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@parameters.paged
@parameters.as_json
def deliveries(
    webhook_id: str,
    delivery_id: str | None,
    name: str | None,
    status: str | None,
    limit: int,
    offset: int,
    as_json: bool,
) -> None:
    """List what an endpoint was told, or every attempt of DELIVERY_ID.

    \b
    Examples:
      crewship webhooks deliveries whk_abc123 --status failed
      crewship webhooks deliveries whk_abc123 dlv_abc123
    """
    client = Client.connect()
    if delivery_id:
        _print_attempts(client.get(*_path(name, webhook_id, "deliveries", delivery_id)), as_json)
        return
    answer = client.get(*_path(name, webhook_id, "deliveries"), status=status, limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (one["id"], one["event"], one["run_id"], one["status"], one["attempts"], terminal.local_time(one["created_at"]))
        for one in answer["deliveries"]
    ]
    terminal.print_table(("ID", "EVENT", "RUN", "STATUS", "ATTEMPTS", "CREATED"), rows, "No deliveries.")


@webhooks.command()
@click.argument("webhook_id")
@click.argument("delivery_id")
@parameters.named
@parameters.as_json
def redeliver(webhook_id: str, delivery_id: str, name: str | None, as_json: bool) -> None:
    """Send a delivery once more, under the id that it had.

    \b
    Example:
      crewship webhooks redeliver whk_abc123 dlv_abc123
    """
    delivery = Client.connect().post(*_path(name, webhook_id, "deliveries", delivery_id, "redeliver"))
    terminal.print_json(delivery) if as_json else terminal.say(f"{delivery_id} is on its way again")


@webhooks.command()
@click.argument("webhook_id")
@parameters.named
@parameters.as_json
def delete(webhook_id: str, name: str | None, as_json: bool) -> None:
    """Revoke a token, or forget an endpoint and what waits for it.

    \b
    Example:
      crewship webhooks delete whk_abc123
    """
    Client.connect().delete(*_path(name, webhook_id))
    terminal.print_json({"id": webhook_id, "deleted": True}) if as_json else terminal.say(f"Deleted {webhook_id}")


def _path(name: str | None, *parts: str) -> tuple[str, ...]:
    return ("deployments", parameters.deployment_name(None, name), "webhooks", *parts)


def _print_new(hook: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(hook)
        return
    terminal.say(hook["url"] if hook["direction"] == "incoming" else hook["secret"])
    what = "address" if hook["direction"] == "incoming" else "secret"
    terminal.note(f"This is the only time that the {what} of {hook['name']} ({hook['id']}) is shown: keep it now.")


def _print(hook: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(hook)
        return
    for moment in ("created_at", "updated_at", "paused_at"):
        if moment in hook:
            hook[moment] = terminal.local_time(hook[moment])
    if hook.get("events"):
        hook["events"] = ", ".join(hook["events"])
    terminal.print_facts(hook)


def _print_attempts(delivery: dict[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(delivery)
        return
    rows = [
        (
            attempt["number"],
            attempt["outcome"],
            attempt["status_code"],
            attempt["duration_ms"],
            attempt["error"] or terminal.one_line(attempt["response"] or "", 60),
            terminal.local_time(attempt["started_at"]),
        )
        for attempt in delivery["attempts"]
    ]
    terminal.print_table(("NUMBER", "OUTCOME", "STATUS", "MS", "ANSWER", "STARTED"), rows, "Not attempted yet.")
