"""API keys, as the API shows them: never their secret."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from domain.access import KeyCreated, KeyRevoked, KeyUsed
from domain.event import Recorded
from projections.projection import METADATA, Projection, Row, Write, from_json, page, text, to_json, upsert

KEYS = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("deployment_ids", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Text),
    sa.Column("last_used_at", sa.Text),
    sa.Column("revoked_at", sa.Text),
)

PUT = upsert(KEYS)
USE = sa.update(KEYS).where(KEYS.c.id == sa.bindparam("key")).values(last_used_at=sa.bindparam("used"))
REVOKE = sa.update(KEYS).where(KEYS.c.id == sa.bindparam("key")).values(revoked_at=sa.bindparam("revoked"))
LIST = page(sa.select(KEYS).where(KEYS.c.revoked_at.is_(None)).order_by(KEYS.c.position.desc()))
GET = sa.select(KEYS).where(KEYS.c.id == sa.bindparam("id"))


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about keys."""
    at = text(recorded.at)
    match recorded.event:
        case KeyCreated() as key:
            row = {"id": key.key_id, "position": recorded.position, "name": key.name, "scopes": to_json(key.scopes)}
            row["deployment_ids"] = to_json(key.deployment_ids)
            times = {"created_at": at, "expires_at": text(key.expires_at), "last_used_at": None, "revoked_at": None}
            yield Write(PUT, {**row, **times})
        case KeyUsed(key_id=key_id):
            yield Write(USE, {"key": key_id, "used": at})
        case KeyRevoked(key_id=key_id):
            yield Write(REVOKE, {"key": key_id, "revoked": at})


def public(row: Row) -> dict[str, Any]:
    """A key as the API shows it."""
    shown = {name: row[name] for name in ("id", "name", "created_at", "expires_at", "last_used_at")}
    return {**shown, "scopes": from_json(row["scopes"]), "deployment_ids": from_json(row["deployment_ids"])}


ACCESS_VIEW = Projection("access", 2, (KEYS,), project)
