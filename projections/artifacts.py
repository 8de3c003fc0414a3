"""Artifacts: what runs left behind."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from domain.erasure import RunErased
from domain.event import Recorded
from domain.output import ArtifactCollected
from projections.projection import METADATA, Projection, Row, Write, text, upsert

ARTIFACTS = sa.Table(
    "artifacts",
    METADATA,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("content_type", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
)

PUT = upsert(ARTIFACTS)
DROP = sa.delete(ARTIFACTS).where(ARTIFACTS.c.run_id == sa.bindparam("run"))
LIST = sa.select(ARTIFACTS).where(ARTIFACTS.c.run_id == sa.bindparam("run_id")).order_by(ARTIFACTS.c.name)
GET = sa.select(ARTIFACTS).where(ARTIFACTS.c.run_id == sa.bindparam("run_id"), ARTIFACTS.c.name == sa.bindparam("name"))


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about artifacts."""
    match recorded.event:
        case RunErased(run_id=run_id):
            yield Write(DROP, {"run": run_id})
        case ArtifactCollected(name=str()) as file:
            row = {name: getattr(file, name) for name in ("run_id", "name", "size", "content_type", "sha256")}
            yield Write(PUT, {**row, "created_at": text(recorded.at)})


def public(row: Row) -> dict[str, Any]:
    """An artifact as the API shows it."""
    return {name: row[name] for name in ("name", "size", "content_type", "sha256", "created_at")}


ARTIFACTS_VIEW = Projection("artifacts", 2, (ARTIFACTS,), project)
