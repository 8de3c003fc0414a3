"""The runs that wait for their turn: oldest first within a deployment, and turns go round among the deployments."""

from collections import Counter, OrderedDict
from collections.abc import Container, Iterator
from datetime import datetime

import msgspec


class Pending(msgspec.Struct, frozen=True):
    """A run that waits for its turn, or for its next attempt: it has none before `not_before`."""

    run_id: str
    deployment_id: str
    most_at_once: int
    expires_at: datetime
    not_before: datetime | None = None
    turn_of: str | None = None
    """A schedule of whose runs one goes on at a time."""


class WaitingRuns:
    """Whose turn is next. A deployment with a thousand runs in the queue delays another's first by one turn at most."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}
        # A deployment moves to the end when it has had a turn.
        self._deployments: OrderedDict[str, OrderedDict[str, Pending]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._of)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._of

    def __iter__(self) -> Iterator[Pending]:
        return (pending for queue in self._deployments.values() for pending in queue.values())

    def add(self, pending: Pending) -> None:
        """Put a run at the end of its deployment's queue."""
        self._of[pending.run_id] = pending.deployment_id
        self._deployments.setdefault(pending.deployment_id, OrderedDict())[pending.run_id] = pending

    def discard(self, run_id: str) -> None:
        """Take a run out, if it is there."""
        deployment_id = self._of.pop(run_id, None)
        if deployment_id is None:
            return
        queue = self._deployments[deployment_id]
        del queue[run_id]
        if not queue:
            del self._deployments[deployment_id]

    def take(
        self, now: datetime, running: Counter[str], busy: Container[str], turns: Container[str] = ()
    ) -> Pending | None:
        """The next run that may start, taken out; None if none may.

        First come the deployments with the fewest running, of those the one whose turn was longest ago. `running`
        counts by deployment; a run in `busy` is not taken, since its last attempt is still being cleared away, and none
        of a schedule in `turns`, since another of its runs goes on.
        """
        for deployment_id in sorted(self._deployments, key=lambda one: running[one]):
            for pending in self._deployments[deployment_id].values():
                if 0 < pending.most_at_once <= running[deployment_id]:
                    break
                if pending.run_id in busy or (pending.turn_of is not None and pending.turn_of in turns):
                    continue
                if pending.not_before is not None and now < pending.not_before:
                    continue
                self.discard(pending.run_id)
                if deployment_id in self._deployments:
                    self._deployments.move_to_end(deployment_id)
                return pending
        return None
