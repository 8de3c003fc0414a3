"""The one clock of the service."""

from datetime import UTC, datetime


def now() -> datetime:
    """The time, UTC, cut to milliseconds: what is stored and what is shown are the same."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def iso(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
