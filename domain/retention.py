"""Retention: how long what ended runs hold of a person is kept, for the installation or for one deployment of it."""

import msgspec

from domain.errors import BadRequest
from domain.event import Event

INSTALLATION = "installation"
SHORTEST = 60
LONGEST = 100 * 365 * 24 * 3600
MOST_KEPT = 1_000_000


class RetentionSet(Event, tag="retention.set", frozen=True, kw_only=True):
    """Ended runs are erased once they are older than so many seconds, or once so many newer ones of their deployment
    are kept. `deployment_id` None: of every deployment that has no rule of its own."""

    deployment_id: str | None = None
    older_than_seconds: int | None = None
    keep: int | None = None


class RetentionLifted(Event, tag="retention.lifted", frozen=True, kw_only=True):
    """The rule holds no more."""

    deployment_id: str | None = None


RetentionEvent = RetentionSet | RetentionLifted


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept: runs that ended no longer ago, and of a deployment so many; None sets no bound."""

    older_than_seconds: int | None = None
    keep: int | None = None


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a rule depend on."""

    rule: Rule | None = None


def stream(deployment_id: str | None) -> str:
    """The stream of a deployment's rule, or of the installation's."""
    return f"{deployment_id or INSTALLATION}:retention"


def evolve(_: Retention | None, event: RetentionEvent) -> Retention:
    """The rule after the event."""
    match event:
        case RetentionSet(older_than_seconds=older_than_seconds, keep=keep):
            return Retention(rule=Rule(older_than_seconds=older_than_seconds, keep=keep))
        case RetentionLifted():
            return Retention()


def set_rule(retention: Retention | None, deployment_id: str | None, rule: Rule) -> list[RetentionEvent]:
    """A rule takes the place of the one before; the same once more changes nothing."""
    if rule.older_than_seconds is None and rule.keep is None:
        raise BadRequest("older_than_seconds or keep is required")
    if rule.older_than_seconds is not None and not SHORTEST <= rule.older_than_seconds <= LONGEST:
        raise BadRequest(f"older_than_seconds: expected a whole number from {SHORTEST} to {LONGEST}")
    if rule.keep is not None and not 0 <= rule.keep <= MOST_KEPT:
        raise BadRequest(f"keep: expected a whole number from 0 to {MOST_KEPT}")
    if retention is not None and retention.rule == rule:
        return []
    return [RetentionSet(deployment_id=deployment_id, older_than_seconds=rule.older_than_seconds, keep=rule.keep)]


def lift(retention: Retention | None, deployment_id: str | None) -> list[RetentionEvent]:
    """From now on nothing is erased by this rule."""
    if retention is None or retention.rule is None:
        return []
    return [RetentionLifted(deployment_id=deployment_id)]
