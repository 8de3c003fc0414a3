"""What is kept how long: a row for the installation and one for every deployment that ever was."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from domain.deployment import DeploymentCreated
from domain.event import Recorded
from domain.retention import INSTALLATION, RetentionLifted, RetentionSet
from projections.projection import METADATA, Projection, Write, upsert

RETENTION = sa.Table(
    "retention",
    METADATA,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("older_than_seconds", sa.BigInteger),
    sa.Column("keep", sa.BigInteger),
)

PUT = upsert(RETENTION)
OF_INSTALLATION = sa.select(RETENTION).where(RETENTION.c.scope == INSTALLATION)
OF_DEPLOYMENTS = (
    sa.select(RETENTION)
    .where(RETENTION.c.scope > sa.bindparam("after"), RETENTION.c.scope != INSTALLATION)
    .order_by(RETENTION.c.scope)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about the rules."""
    match recorded.event:
        case DeploymentCreated(deployment_id=deployment_id):
            yield _put(deployment_id)
        case RetentionSet(deployment_id=deployment_id, older_than_seconds=older_than_seconds, keep=keep):
            yield _put(deployment_id, older_than_seconds, keep)
        case RetentionLifted(deployment_id=deployment_id):
            yield _put(deployment_id)


def _put(deployment_id: str | None, older_than_seconds: int | None = None, keep: int | None = None) -> Write:
    values: dict[str, Any] = {"older_than_seconds": older_than_seconds, "keep": keep}
    return Write(PUT, {"scope": deployment_id or INSTALLATION, **values})


RETENTION_VIEW = Projection("retention", 1, (RETENTION,), project)
