"""`crewship chat`: a conversation in the terminal, on a thread."""

import json
import sys
from typing import Any

import click

from crewship.cli import parameters, terminal
from crewship.cli.client import Client
from crewship.cli.errors import CommandError, Mistake
from crewship.cli.stream import RUN_ENDS, EventReader
from crewship.cli.thread import said
from crewship.cli.watch import wait_for_run

MESSAGES = "messages"  # where LangGraph's own states keep a conversation
RAW = "raw"  # where a crew's output has its text


@click.command()
@click.argument("deployment", required=False)
@parameters.named
@click.option("--thread", "thread_id", metavar="ID", help="Go on with this conversation.")
@parameters.in_environment
@parameters.as_json
def chat(deployment: str | None, name: str | None, thread_id: str | None, environment: str, as_json: bool) -> None:
    """Talk with DEPLOYMENT: one line a turn, answers as they come. An empty line or Ctrl-D ends it.

    With --json each turn is one line: how its run ended, its output, what it asks.

    \b
    Examples:
      crewship chat support-agent
      crewship chat --thread thr_abc123
    """
    client = Client.connect()
    if thread_id is None:
        called = parameters.deployment_name(deployment, name)
        conversation = client.post("threads", body={"deployment_id": called})
        terminal.note(f"Thread {conversation['thread_id']} (go on later: --thread {conversation['thread_id']})")
    else:
        conversation = client.get("threads", thread_id)
        for message in [] if as_json else (conversation["values"] or {}).get(MESSAGES) or []:
            terminal.say(said(message), dim=True)
    keys = _keys(client, conversation["deployment_id"], environment)
    _Conversation(client, conversation["thread_id"], environment, *keys, as_json).talk(conversation["interrupts"])


def _keys(client: Client, deployment_id: str, environment: str) -> tuple[str, str | None]:
    live = client.get("deployments", deployment_id)["environments"].get(environment)
    if live is None:
        raise CommandError(f"nothing is live in {environment}: run `crewship deploy`")
    keys = client.get("versions", live["version_id"]).get("chat") or {}
    return keys.get("input_key") or MESSAGES, keys.get("output_key")


class _Conversation:
    """One thread, and the keys under which its graph hears and answers."""

    def __init__(
        self,
        client: Client,
        thread_id: str,
        environment: str,
        input_key: str,
        output_key: str | None,
        as_json: bool,
    ) -> None:
        self._client = client
        self._thread_id = thread_id
        self._environment = environment
        self._input_key = input_key
        self._output_key = output_key
        self._as_json = as_json

    def talk(self, asked: list[dict[str, Any]] | None) -> None:
        """Turn by turn, until there is nothing more to say."""
        while True:
            for interrupt in [] if self._as_json else asked or []:
                terminal.say(f"? {terminal.one_line(interrupt['value'], 1000)}", fg="yellow")
            line = self._hear("answer> " if asked else "you> ")
            if not line:
                return
            body = {"environment": self._environment}
            asked = self._turn({**body, **(self._answer(line) if asked else self._message(line))})

    def _hear(self, prompt: str) -> str:
        if not sys.stdin.isatty():
            return sys.stdin.readline().strip()
        try:
            return str(click.prompt(prompt, default="", show_default=False, prompt_suffix="", err=True)).strip()
        except (click.Abort, EOFError):
            terminal.note("")
            return ""

    def _message(self, line: str) -> dict[str, Any]:
        if self._input_key == MESSAGES:
            return {"input": {MESSAGES: [{"role": "user", "content": line}]}}
        return {"input": {self._input_key: line}}

    def _answer(self, line: str) -> dict[str, Any]:
        try:
            return {"resume": json.loads(line)}
        except ValueError:
            return {"resume": line}

    def _turn(self, body: dict[str, Any]) -> list[dict[str, Any]] | None:
        """One run: its words as they come, its answer, and what it asks back."""
        run = self._client.post_once("threads", self._thread_id, "runs", body=body)
        if self._as_json:
            ended = wait_for_run(self._client, run["run_id"])
            asked: list[dict[str, Any]] | None = self._client.get("threads", self._thread_id)["interrupts"]
            shown = {name: ended[name] for name in ("id", "status", "output", "error_message")}
            terminal.print_json_line({**shown, "interrupts": asked})
            return asked
        reader = EventReader(self._client, "runs", run["run_id"], "events", ends=RUN_ENDS, notify=terminal.note)
        spoken = False
        asked = None
        for event in reader:
            match event.type:
                case "token":
                    click.echo(terminal.harmless(str(event.payload.get("text"))), nl=False)
                    spoken = True
                case "tool.called":
                    if spoken:
                        click.echo()
                        spoken = False
                    terminal.note(f"  [{event.payload.get('tool')}]")
                case "run.interrupted":
                    asked = event.payload.get("interrupts") or []
                case "run.completed":
                    click.echo() if spoken else self._say(event.payload.get("result"), asked is not None)
                case "run.failed" | "run.canceled":
                    why = event.payload.get("error") or "it was canceled"
                    terminal.say(f"The run failed: {terminal.harmless(str(why))}", fg="red")
        return asked

    def _say(self, result: Any, interrupted: bool) -> None:
        """The answer in a final state: under the output key, else the last message, else a crew's text."""
        if not isinstance(result, dict):
            terminal.say(terminal.one_line(result, 2000))
            return
        if self._output_key is not None:
            if self._output_key not in result and not interrupted:
                raise Mistake(f"the output has no key {self._output_key!r} ([chat] output_key in crewship.toml)")
            if self._output_key in result:
                terminal.say(_plain(result[self._output_key]))
            return
        messages = result.get(MESSAGES)
        if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
            if messages[-1].get("type") != "human":
                terminal.say(_plain(messages[-1].get("content")))
        elif isinstance(result.get(RAW), str):
            terminal.say(_plain(result[RAW]))
        elif not interrupted:
            terminal.say(terminal.one_line(result, 2000))


def _plain(value: Any) -> str:
    return terminal.harmless(value) if isinstance(value, str) else terminal.one_line(value, 4000)
