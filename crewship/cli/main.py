"""The command `crewship`: the list of its commands, each of which is imported only when it is called."""

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from crewship.cli.errors import CommandError, Mistake

# name: (where it is, what the overview says of it)
COMMANDS = {
    "serve": ("crewship.cli.serve:serve", "Run a Crewship server on this machine."),
    "login": ("crewship.cli.login:login", "Remember a server's address and an API key."),
    "init": ("crewship.cli.init:init", "Write crewship.toml for a project, or start a new one."),
    "deploy": ("crewship.cli.deploy:deploy", "Make a version of a project and put it live."),
    "invoke": ("crewship.cli.invoke:invoke", "Start a run and wait for it, or watch it live."),
    "chat": ("crewship.cli.chat:chat", "Talk with a deployment in the terminal."),
    "thread": ("crewship.cli.thread:thread", "Begin conversations, look at what they remember, branch and correct."),
    "runs": ("crewship.cli.runs:runs", "Look at runs, their events, logs and artifacts; cancel them."),
    "deployments": ("crewship.cli.deployments:deployments", "List, look at and delete deployments."),
    "versions": ("crewship.cli.versions:versions", "List and look at the versions of a deployment."),
    "promote": ("crewship.cli.versions:promote", "Put live in production what is live in staging."),
    "env": ("crewship.cli.env:env", "Set the environment variables that runs get."),
    "webhooks": ("crewship.cli.webhooks:webhooks", "Let others start runs, and be told how runs ended."),
    "schedules": ("crewship.cli.schedules:schedules", "Let runs begin by the clock."),
    "tables": ("crewship.cli.tables:tables", "Keep rows that outlive runs; filter, import and export them."),
    "keys": ("crewship.cli.keys:keys", "Create, list and revoke API keys."),
    "retention": ("crewship.cli.retention:retention", "How long what ended runs hold is kept."),
    "audit": ("crewship.cli.audit:audit", "Who did what, and whether the log still is what was written."),
    "replay": ("crewship.cli.replay:replay", "Play a run again as it happened, or open a server on the past."),
    "export": ("crewship.cli.moving:export", "Write a whole installation to one file."),
    "import": ("crewship.cli.moving:import_", "Make an installation from such a file, in an empty place."),
    "views": ("crewship.cli.views:views", "Rebuild the server's views from its log."),
}


class Commands(click.Group):
    """A group that knows its commands by name and loads them late, and whose errors are one line each."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; what was refused by rules of ours becomes a line on stderr."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt, EOFError):
            raise
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of a pipe is gone; click ends quietly
                raise
            raise CommandError(_of_the_system(error)) from None
        except Exception as error:
            if os.environ.get("CREWSHIP_DEBUG"):
                raise
            raise _explained(error) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Parses, runs, and ends the process with 0, 1, 2, or 130 when it was interrupted."""
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            code = result if isinstance(result, int) else 0
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.UsageError as error:
            where = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
            message = " ".join(error.format_message().split()).rstrip(".")
            click.echo(f"error: {message}{where}", err=True)
            code = error.exit_code
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except click.Abort:
            click.echo("error: interrupted", err=True)
            code = 130
        sys.exit(code)


def _of_the_system(error: OSError) -> str:
    named = f"{error.filename}: " if error.filename else ""
    return f"{named}{error.strerror or error}"


def _explained(error: Exception) -> CommandError:
    from domain.errors import DomainError

    if isinstance(error, DomainError):
        return Mistake(error.message)
    text = " ".join(str(error).split())
    return CommandError(f"this should not happen: {type(error).__name__}: {text} (CREWSHIP_DEBUG=1 shows where)")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="crewship", message="crewship %(version)s")
def cli() -> None:
    """Crewship: a home of your own for AI agents.

    \b
    Start here:
      crewship serve                                   a server on this machine
      crewship init --template langgraph my-agent      a project that runs without any key
      crewship deploy my-agent                         its first version, live in production
      crewship invoke my-agent -i '{"topic": "AI"}' --stream

    CREWSHIP_URL and CREWSHIP_API_KEY say which server to talk to; `crewship login` remembers it.
    """


def main() -> None:
    """The entry point of the command `crewship`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 gets question marks, not a traceback
    cli(prog_name="crewship")
