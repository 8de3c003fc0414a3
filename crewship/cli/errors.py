"""What a command says when it cannot go on: one line on stderr, and what to do next."""

from typing import IO, Any

import click


class CommandError(click.ClickException):
    """The server said no, cannot be reached, or the run failed. Ends the process with 1."""

    exit_code = 1
    hint = ""

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints `error: …` on stderr, on one line with what a caller may have added in `hint`."""
        click.echo(f"error: {self.message}{self.hint}", file=file, err=True)


class Mistake(CommandError):
    """What was asked for makes no sense as it stands; the server was not asked. Ends the process with 2."""

    exit_code = 2


class NoServer(CommandError):
    """Nothing answers at the server's address."""


class Broken(NoServer):
    """The connection broke after it was made: what was asked for may have been done."""


class Refused(CommandError):
    """The server answered with an error."""

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
