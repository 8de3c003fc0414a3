"""`crewship keys …`"""

from datetime import UTC, datetime, timedelta

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client

SCOPES = ("admin", "deploy", "run", "read")


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command()
@click.argument("name")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="May be repeated.")
@click.option("--deployment", "deployments", multiple=True, metavar="NAME", help="Bind it to this one, and more.")
@click.option("--expires", callback=parameters.duration, metavar="TIME", help="Ends after that time, like 30d.")
@parameters.as_json
def create(
    name: str, scopes: tuple[str, ...], deployments: tuple[str, ...], expires: float | None, as_json: bool
) -> None:
    """Create a key called NAME and show it, this once.

    \b
    Examples:
      crewship keys create ci --scope deploy
      crewship keys create dashboard --scope read --scope run --expires 90d
      crewship keys create support-team --scope deploy --deployment support-agent
    """
    body: dict[str, object] = {"name": name, "scopes": list(scopes), "deployment_ids": list(deployments)}
    if expires is not None:
        end = datetime.now(UTC) + timedelta(seconds=expires)
        body["expires_at"] = end.isoformat(timespec="seconds").replace("+00:00", "Z")
    key = Client.connect().post("api-keys", body=body)
    if as_json:
        terminal.print_json(key)
        return
    terminal.say(key["key"])
    terminal.note(f"This is the only time that {key['name']} ({key['id']}) is shown: keep it now.")


@keys.command("list")
@parameters.paged
@parameters.as_json
def list_(limit: int, offset: int, as_json: bool) -> None:
    """List the keys; what they are is never shown again.

    \b
    Example:
      crewship keys list
    """
    answer = Client.connect().get("api-keys", limit=limit, offset=offset)
    if as_json:
        terminal.print_json(answer)
        return
    rows = [
        (
            key["id"],
            key["name"],
            ", ".join(key["scopes"]),
            ", ".join(key.get("deployment_ids", [])) or "all",
            terminal.local_time(key["created_at"]),
            terminal.local_time(key.get("expires_at")),
            terminal.local_time(key.get("last_used_at")),
        )
        for key in answer["api_keys"]
    ]
    terminal.print_table(("ID", "NAME", "SCOPES", "DEPLOYMENTS", "CREATED", "EXPIRES", "LAST USED"), rows, "No keys.")


@keys.command()
@click.argument("key_id")
@parameters.as_json
def revoke(key_id: str, as_json: bool) -> None:
    """Revoke a key: from now on the server does not know it.

    \b
    Example:
      crewship keys revoke key_abc123
    """
    Client.connect().delete("api-keys", key_id)
    if as_json:
        terminal.print_json({"id": key_id, "revoked": True})
    else:
        terminal.say(f"Revoked {key_id}")
