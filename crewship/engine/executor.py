"""The ports that the engine drives: who builds a version, and who gives a run its sandbox.

An executor keeps what a sandbox says (its journal) where a server's death cannot take it, so that the next server
reads on from the last line that the log holds.
"""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec


class BuildFailed(Exception):
    """The version cannot be built; the message is for its author."""


class BuildOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to build: a snapshot (a checked, gzipped tar of the project) and what its manifest asks for."""

    deployment_id: str
    version_id: str
    snapshot: Path
    source_sha256: str
    framework: str
    entrypoint: str
    python: str | None
    node: str | None = None
    profile: str = "slim"


class Builder(Protocol):
    """Turns a snapshot into something that an executor can start."""

    def build(self, order: BuildOrder) -> AsyncIterator[str]:
        """Yield the build's log, line by line, while it runs. Ends when the version can be started; raises BuildFailed.

        Building what is built already is quick and changes nothing. Cancelling it leaves nothing half-done behind.
        """
        ...


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """One run, ready to start.

    `spec` is what the runner reads on its standard input (see crewship/runner/python/guard.py); it holds secrets and
    is never written down. `call` is the part of it that is the run's own, which is all that a warm sandbox has still to
    be told. `network` is "internet" or "none".

    To prepare a warm sandbox, `run_id` is a name that begins with WARM, and `spec` what every run shares.
    """

    run_id: str
    order: BuildOrder
    spec: dict[str, Any]
    call: dict[str, Any] = {}
    network: str = "internet"


class ArtifactFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run left in its artifacts folder: its name below it (`/` between parts) and where its bytes are.

    `path` lies outside of the sandbox's reach or belongs to one that has ended; it is a plain file, not a link.
    """

    name: str
    size: int
    path: Path


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was not collected, and why, for a `log` event at level warning."""

    name: str
    why: str


class Sandbox(Protocol):
    """One run's sandbox, alive or ended."""

    run_id: str

    def lines(self, after: int) -> AsyncIterator[Sequence[bytes]]:
        """Yield the journal's lines with a number above `after`, in order, as many at a time as are there.

        Ends once the sandbox has ended and all it said has been yielded. The last line is then the `exit` line, unless
        the sandbox was lost (killed from outside, machine restarted).
        """
        ...

    async def stop(self) -> None:
        """Ask the run to stop: SIGTERM, the spec's grace period, SIGKILL. Returns once asked; `lines` ends in time."""
        ...

    async def kill(self) -> None:
        """End the sandbox and everything in it now, whatever state it is in. Returns when nothing of it lives."""
        ...

    async def artifacts(self) -> tuple[list[ArtifactFile], list[Refused]]:
        """What an ended run left in its artifacts folder, sorted by name; links, devices, odd names are refused."""
        ...

    async def remove(self) -> None:
        """Give back everything that the sandbox held. Safe to call again, and after a crash half way."""
        ...


class WarmSandbox(Protocol):
    """A sandbox in which everything is imported, waiting for the one run that it will have."""

    name: str

    async def ended(self) -> None:
        """Return once it has ended, though no run needed it yet."""
        ...

    async def discard(self) -> None:
        """End it and give back everything that it holds. Safe to call again, and after it was launched."""
        ...


class Executor(Protocol):
    """Gives each run a sandbox of its own.

    What was prepared and never launched ends with the server, and is cleared away by the next `open` at the latest.
    """

    async def open(self) -> None:
        """Probe that sandboxes work here; raises with a message for the operator if this executor cannot serve."""
        ...

    async def close(self) -> None:
        """Let go of what this process holds. Sandboxes that run go on."""
        ...

    async def prepare(self, launch: Launch) -> WarmSandbox:
        """Start a sandbox without a run; returns once it has imported everything. Raises LaunchFailed likewise."""
        ...

    async def launch(self, launch: Launch, warm: WarmSandbox | None = None) -> Sandbox:
        """Start a sandbox and hand it its spec, or hand the call to a warm one of the same executor, which is used up.

        Raises LaunchFailed, and then leaves nothing behind, of the warm one neither.
        """
        ...

    async def find(self, run_id: str) -> Sandbox | None:
        """The sandbox that an earlier server started for this run, if its runner began; it may have ended since."""
        ...

    async def held(self) -> list[str]:
        """The ids of all runs for which this executor still holds anything."""
        ...


WARM = "warm_"
"""What the names of sandboxes without a run begin with, so that they are not taken for a run's."""


class LaunchFailed(Exception):
    """No sandbox could be started; the message says why."""
