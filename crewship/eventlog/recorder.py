"""What the log asks of a database: to judge and write many appends in one transaction, and to read by position."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from eventsourcing.persistence import Notification, StoredEvent

Row = TypeVar("Row")
StoredRow = Notification
"""A stored event and its position."""


class StreamMoved(Exception):
    """An append named a version at which its stream no longer is: somebody else was quicker. Nothing was written."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}, not at {expected}")
        self.stream = stream


class Proposal(NamedTuple):
    """One append, encoded: all of it is written, or none.

    `expected` says at which version each stream must be; a stream without an event in `events` is only held there.
    """

    expected: Sequence[tuple[str, int]]
    events: Sequence[StoredEvent]


class LogRecorder(Protocol):
    """A recorder of `eventsourcing` with what the log needs beyond it. Blocking; `write` is called from one thread."""

    def write(self, proposals: Sequence[Proposal]) -> list[list[int] | StreamMoved]:
        """Write the proposals that fit, in order, in one durable transaction; say of each its positions or why not."""
        ...

    def select_streams(self, streams: Sequence[str], after: int, limit: int) -> list[Notification]:
        """The first `limit` events of these streams behind position `after`, in the order of positions."""
        ...

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The first `limit` events of the whole log from `start` on."""
        ...

    def select_events(
        self,
        originator_id: str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """One stream's events by version."""
        ...

    def max_notification_id(self) -> int | None:
        """The position of the newest event; None or 0 in an empty log."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


def judge(proposals: Sequence[Proposal], heads: dict[str, int]) -> list[StreamMoved | None]:
    """Which proposals fit, given where the streams stand; `heads` is moved on by those that do."""
    verdicts: list[StreamMoved | None] = []
    for proposal in proposals:
        moved = next(
            (StreamMoved(stream, at, heads.get(stream, 0)) for stream, at in proposal.expected if heads[stream] != at),
            None,
        )
        verdicts.append(moved)
        if moved is None:
            for event in proposal.events:
                heads[str(event.originator_id)] = event.originator_version
    return verdicts


def share_out(
    proposals: Sequence[Proposal], verdicts: Sequence[StreamMoved | None], positions: Sequence[int]
) -> list[list[int] | StreamMoved]:
    """Give each proposal that was written its own of the positions, in order."""
    outcomes: list[list[int] | StreamMoved] = []
    start = 0
    for proposal, moved in zip(proposals, verdicts, strict=True):
        if moved is not None:
            outcomes.append(moved)
            continue
        stop = start + len(proposal.events)
        outcomes.append(list(positions[start:stop]))
        start = stop
    return outcomes


def batches(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    """The rows, so many at a time."""
    coming = iter(rows)
    while batch := list(islice(coming, most)):
        yield batch
