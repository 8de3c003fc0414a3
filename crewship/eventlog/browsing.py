"""Reading the whole log as an auditor does: by position and filters, clear parts alone, without any key."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from eventsourcing.persistence import Notification

from crewship.eventlog.codec import decode, recorded_at
from crewship.eventlog.recorder import LogRecorder
from domain.event import Recorded

ROWS_AT_ONCE = 250
MOST_LOOKED_AT = 20_000


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for: all that is given must hold. `types` as stored; times include `since` and exclude `until`."""

    types: tuple[str, ...] = ()
    stream: str | None = None
    by: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, recorded: Recorded) -> bool:
        """Whether the event is meant."""
        return (
            (not self.types or recorded.event.tag() in self.types)
            and (self.stream is None or recorded.stream == self.stream)
            and (self.by is None or recorded.by == self.by)
            and (self.since is None or recorded.at >= self.since)
            and (self.until is None or recorded.at < self.until)
        )


class Found(msgspec.Struct, frozen=True):
    """A page: events without their sealed fields, and the position up to which was looked."""

    events: list[Recorded]
    looked_up_to: int


def browse(recorder: LogRecorder, after: int, limit: int, query: Query) -> Found:
    """The first events behind `after` that fit. Looks at a bounded number of rows, so there may be more further on."""
    if query.since is not None:
        after = max(after, position_before(recorder, query.since))
    found: list[Recorded] = []
    looked = 0
    while looked < MOST_LOOKED_AT and (rows := _rows(recorder, after, query)):
        for row in rows:
            recorded = decode(row, row.id, None)
            if query.until is not None and recorded.at >= query.until:
                return Found(found, after)
            after = row.id
            if query.fits(recorded):
                found.append(recorded)
                if len(found) == limit:
                    return Found(found, after)
        looked += len(rows)
    return Found(found, after)


def position_before(recorder: LogRecorder, moment: datetime) -> int:
    """The last position that was recorded before a moment, by halves, since the log's clock never runs back."""
    low, high = 0, recorder.max_notification_id() or 0
    while low < high:
        middle = (low + high) // 2
        rows = recorder.select_notifications(middle, 1, inclusive_of_start=False)
        if rows and recorded_at(rows[0]) < moment:
            low = rows[0].id
        else:
            high = middle
    return low


def position_at(recorder: LogRecorder, upto: int) -> int:
    """The last position that is taken, up to one that may lie in a gap; 0 before the first."""
    low, high = 0, min(upto, recorder.max_notification_id() or 0)
    while low < high:
        middle = (low + high) // 2
        rows = recorder.select_notifications(middle, 1, high, inclusive_of_start=False)
        low, high = (rows[0].id, high) if rows else (low, middle)
    return low


def _rows(recorder: LogRecorder, after: int, query: Query) -> Sequence[Notification]:
    if query.stream is not None:
        return recorder.select_streams([query.stream], after, ROWS_AT_ONCE)
    return recorder.select_notifications(after, ROWS_AT_ONCE, topics=query.types, inclusive_of_start=False)
