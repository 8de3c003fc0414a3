"""Holds the stored rows against the seals. Needs no key: hashes are over the bytes as they lie."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from eventsourcing.persistence import Notification

from crewship.eventlog.codec import UnknownEvent, decode
from crewship.eventlog.recorder import LogRecorder
from domain.seal import (
    NO_ROOT,
    STREAM,
    Difference,
    Finding,
    Head,
    Leaf,
    LogSealed,
    differences,
    head_of,
    leaf,
    read_head,
    root_over,
    seal,
)

ROWS_AT_ONCE = 250
RANGE_BYTES = 32 * 1024 * 1024
MOST_FINDINGS = 100


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the log, checked.

    `sealed_up_to` is the last position that was checked, `head` the chain's end there, `newest` the log's last
    position. `next_after` is where the next piece begins, None behind the last.
    """

    events: int
    seals: int
    findings: list[Finding]
    sealed_up_to: int
    head: str
    newest: int
    next_after: int | None


class _Place(NamedTuple):
    """What names a row."""

    stream: str
    version: int
    tag: str


def newest_seal(recorder: LogRecorder) -> tuple[Head, int]:
    """The end of the chain, and the version of the stream of seals."""
    for stored in recorder.select_events(STREAM, desc=True, limit=1):
        event = decode(stored, 0, None).event
        if isinstance(event, LogSealed):
            return head_of(event), stored.originator_version
    return Head(), 0


def next_seal(recorder: LogRecorder, head: Head, most: int) -> LogSealed | None:
    """The seal over what lies behind the head; None where that is nothing, or nothing but seals."""
    leaves: list[Leaf] = []
    size, worthwhile = 0, False
    for row in _rows(recorder, head.last, None):
        leaves.append(_leaf(row))
        size += len(row.state)
        worthwhile = worthwhile or row.originator_id != STREAM
        if len(leaves) == most or size > RANGE_BYTES:
            break
    return seal(head, leaves) if worthwhile else None


def verify(recorder: LogRecorder, after: int = 0, *, most: int = 100_000, pinned: str | None = None) -> Verified:
    """Check the ranges whose seals lie behind position `after`, some `most` events of them."""
    walk = _Walk(recorder, after, read_head(pinned) if pinned else None)
    newest = recorder.max_notification_id() or 0
    at: int | None = after
    while at is not None and walk.events < most:
        at = walk.step()
    if at is None:
        walk.end()
    return Verified(
        events=walk.events,
        seals=walk.seals,
        findings=sorted(walk.findings.values(), key=lambda finding: finding.position)[:MOST_FINDINGS],
        sealed_up_to=walk.head.last,
        head=str(walk.head),
        newest=newest,
        next_after=at,
    )


class _Walk:
    """From seal to seal. A finding is kept once a position: the first that is said of it."""

    def __init__(self, recorder: LogRecorder, after: int, pinned: Head | None) -> None:
        self._recorder = recorder
        self._after = after
        self._pinned = pinned
        self._pin_met = False
        self.head = Head()
        self.events = self.seals = 0
        self.findings: dict[int, Finding] = {}
        if after:
            for row in recorder.select_streams([STREAM], after - 1, 1):
                if row.id == after and (sealed := _decoded(row)):
                    self.head = head_of(sealed)
        self._pin_met = pinned is not None and pinned.last <= self.head.last

    def step(self) -> int | None:
        """Check the next range; the position of its seal, None if there is none."""
        for row in self._recorder.select_streams([STREAM], self._after, 1):
            self._after = row.id
            self.seals += 1
            if (sealed := _decoded(row)) is None:
                self._find(row.id, "changed", _place(row))
            else:
                self._check(sealed, row)
            return self._after
        return None

    def _check(self, sealed: LogSealed, row: Notification) -> None:
        if sealed.first != self.head.last + 1:
            self._bridge(sealed)
        elif sealed.previous != self.head.root:
            self._find(row.id, "changed", _place(row))
        leaves: list[Leaf] = []
        places: dict[int, _Place] = {}
        for each in _rows(self._recorder, sealed.first - 1, sealed.last):
            leaves.append(_leaf(each))
            places[each.id] = _place(each)
        self.events += len(leaves)
        base = self.head.root if sealed.first == self.head.last + 1 else sealed.previous
        if root_over(base, (digest for _, digest in leaves)) != sealed.root:
            faults = differences(sealed, leaves)
            for position, what in faults:
                self._find(position, what, places.get(position))
            if not faults:
                self._find(row.id, "changed", _place(row))
        self.head = head_of(sealed)
        self._hold_against_pin()

    def _bridge(self, sealed: LogSealed) -> None:
        """A seal is gone or unreadable: whether its range is whole, the next one's `previous` still tells."""
        first, last = self.head.last + 1, sealed.first - 1
        digests = (_leaf(row).digest for row in _rows(self._recorder, first - 1, last))
        if last < first or root_over(self.head.root, digests) != sealed.previous:
            message = f"evt_{first:03d} to evt_{last:03d} have no seal that fits: something there was changed"
            self._keep(Finding(position=max(1, min(first, last)), what="unproved", message=message))

    def _hold_against_pin(self) -> None:
        if self._pinned is None or self._pin_met or self.head.last < self._pinned.last:
            return
        self._pin_met = True
        if self.head != self._pinned:
            self._disown(f"the seals up to evt_{self._pinned.last:03d} are not those that the pinned head stands for")

    def _disown(self, message: str) -> None:
        position = self._pinned.last if self._pinned else 0
        self.findings[-position] = Finding(position=position, what="head", message=message)

    def end(self) -> None:
        """Nothing comes any more: what was pinned must have been met."""
        if self._pinned is not None and not self._pin_met:
            self._disown(
                f"the log is sealed up to evt_{self.head.last:03d} only: what the pinned head stands for is gone"
            )

    def _find(self, position: int, what: Difference, place: _Place | None) -> None:
        name = f"evt_{position:03d}"
        if place is None:
            self._keep(Finding(position=position, what="removed", message=f"{name} was removed"))
            return
        stream, version, tag = place
        message = f"{name} ({tag}, version {version} of {stream}) was {what}"
        self._keep(Finding(position=position, what=what, message=message, stream=stream, version=version, type=tag))

    def _keep(self, finding: Finding) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.setdefault(finding.position, finding)


def _decoded(row: Notification) -> LogSealed | None:
    try:
        event = decode(row, row.id, None).event
        if not isinstance(event, LogSealed) or len(event.root) != len(NO_ROOT) or len(event.previous) != len(NO_ROOT):
            return None
        bytes.fromhex(event.root + event.previous)
    except (UnknownEvent, msgspec.MsgspecError, ValueError):
        return None
    return event


def _rows(recorder: LogRecorder, after: int, last: int | None) -> Iterator[Notification]:
    while rows := recorder.select_notifications(after, ROWS_AT_ONCE, last, inclusive_of_start=False):
        yield from rows
        after = rows[-1].id


def _leaf(row: Notification) -> Leaf:
    return leaf(row.id, str(row.originator_id), row.originator_version, row.topic, row.state)


def _place(row: Notification) -> _Place:
    return _Place(str(row.originator_id), row.originator_version, row.topic)
