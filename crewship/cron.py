"""Cron expressions in a time zone, as Debian's cron reads them.

A job at set hours runs once a day: one whose time the clocks skip in spring runs right after the skip, one whose time
comes twice in autumn runs the first time. A job whose minutes or hours begin with `*` follows the time that passes:
it does not run in the hour that is skipped and runs in both that are alike.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from domain.errors import BadRequest

LONGEST = 200
NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class _Times(CronSim):
    """CronSim walks by whole hours; there are clocks that are turned by half of one (Lord Howe)."""

    def advance_hour(self) -> bool:
        """To the beginning of the next hour that fits, or of the next day; whether that was a step."""
        if self.dt.hour in self.hours:
            return False
        self.dt = self.dt.replace(minute=0, second=0)
        today = self.dt.date()
        while self.dt.hour not in self.hours and self.dt.date() == today:
            self.tick(seconds=1800)
        return True


class Cron:
    """The times that an expression means in a zone. Raises BadRequest that names the field at fault."""

    def __init__(self, expression: str, zone: str) -> None:
        self._zone = _zone(zone)
        self._text = NAMED.get(expression.strip().lower(), expression)
        if len(expression) > LONGEST or len(self._text.split()) != 5:
            known = ", ".join(NAMED)
            raise BadRequest(f"cron: expected five fields like `0 9 * * mon-fri`, or one of {known}")
        try:
            CronSim(self._text, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as fault:
            raise BadRequest(f"cron: {str(fault).lower()} in {self._text!r}") from None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every time behind a moment, in UTC, in order; ends where no more come within fifty years."""
        last = moment
        for local in _Times(self._text, moment.astimezone(self._zone)):
            at = local.astimezone(UTC)
            if at > last:
                last = at
                yield at


@lru_cache(maxsize=1024)
def cron(expression: str, zone: str) -> Cron:
    """The times of an expression, read once."""
    return Cron(expression, zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadRequest(f"timezone: {name[:80]!r} is not an IANA time zone like Europe/Berlin") from None
