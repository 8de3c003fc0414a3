"""`crewship login`"""

import sys

import click

from crewship.cli import credentials, parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import Mistake, Refused


@click.command()
@click.option("--url", help="The server's address; the present one where none is given.")
@click.option("--key", help="The API key; asked for, or read from stdin, where it is not given.")
@parameters.as_json
def login(url: str | None, key: str | None, as_json: bool) -> None:
    """Check an API key with the server and remember both.

    \b
    Examples:
      crewship login --url https://crewship.example.com
      crewship login < key.txt
    """
    address = (url or _present()).rstrip("/")
    if key is None:
        key = click.prompt("API key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    key = key.strip()
    if not key:
        raise Mistake("there is no key: give one with --key or on stdin")
    try:
        Client(address, key).get("deployments", limit=1)
    except Refused as refused:
        if refused.status != 401:
            raise
        raise Refused(f"{address} does not know this key", refused.status, refused.code) from None
    path = credentials.save(address, key)
    if as_json:
        terminal.print_json({"url": address, "config": str(path)})
    else:
        terminal.say(f"Logged in to {address} (kept in {path})")


def _present() -> str:
    try:
        return credentials.load().url
    except credentials.CredentialsError:
        return credentials.DEFAULT_URL  # the login is about to mend the file
