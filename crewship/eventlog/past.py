"""The log as it stood at an earlier position: everything behind it is not there, and nothing can be written."""

from collections.abc import Sequence

from eventsourcing.persistence import Notification, StoredEvent

from crewship.eventlog.recorder import LogRecorder, Proposal, StreamMoved

ROWS_AT_ONCE = 500


class PastRecorder:
    """A recorder that shows what another holds up to a position, which must be that of an event, or 0."""

    def __init__(self, recorder: LogRecorder, until: int) -> None:
        self._recorder = recorder
        self._until = until

    def write(self, proposals: Sequence[Proposal]) -> list[list[int] | StreamMoved]:
        raise PermissionError("the past cannot be changed")

    def select_streams(self, streams: Sequence[str], after: int, limit: int) -> list[Notification]:
        found = self._recorder.select_streams(streams, after, limit)
        return [row for row in found if row.id <= self._until]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        stop = self._until if stop is None else min(stop, self._until)
        return self._recorder.select_notifications(start, limit, stop, topics, inclusive_of_start=inclusive_of_start)

    def select_events(
        self,
        originator_id: str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        last = self._version_of(originator_id)
        lte = last if lte is None else min(lte, last)
        return self._recorder.select_events(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)

    def _version_of(self, stream: str) -> int:
        """The version at which a stream stood."""
        version = after = 0
        while rows := self.select_streams([stream], after, ROWS_AT_ONCE):
            version, after = rows[-1].originator_version, rows[-1].id
        return version

    def max_notification_id(self) -> int | None:
        return self._until

    def close(self) -> None:
        self._recorder.close()
