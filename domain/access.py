"""API keys: who may do what."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from domain.errors import BadRequest, Unauthorized
from domain.event import Event

Scope = Literal["admin", "deploy", "run", "read"]
SCOPES: tuple[Scope, ...] = ("admin", "deploy", "run", "read")
IMPLIED: dict[Scope, frozenset[Scope]] = {
    "admin": frozenset(SCOPES),
    "deploy": frozenset({"deploy", "run", "read"}),
    "run": frozenset({"run", "read"}),
    "read": frozenset({"read"}),
}
MOST_DEPLOYMENTS = 100
USE_NOTED_EVERY = timedelta(hours=1)


class KeyCreated(Event, tag="key.created", frozen=True, kw_only=True):
    """A key was handed out; only the hash of its secret part is kept.

    It is bound to `deployment_ids`; without any it reaches all there are.
    """

    key_id: str
    name: str
    scopes: list[Scope]
    secret_sha256: str
    expires_at: datetime | None = None
    deployment_ids: list[str] = []


class KeyUsed(Event, tag="key.used", frozen=True, kw_only=True):
    """A key was used; noted at most once an hour."""

    key_id: str


class KeyRevoked(Event, tag="key.revoked", frozen=True, kw_only=True):
    """The key opens nothing any more."""

    key_id: str


KeyEvent = KeyCreated | KeyUsed | KeyRevoked


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a key depend on."""

    id: str
    name: str
    scopes: frozenset[Scope]
    secret_sha256: str
    expires_at: datetime | None = None
    deployment_ids: frozenset[str] | None = None
    revoked: bool = False


def evolve(key: Key | None, event: KeyEvent) -> Key:
    """The key after the event."""
    if isinstance(event, KeyCreated):
        return Key(
            id=event.key_id,
            name=event.name,
            scopes=frozenset().union(*(IMPLIED[scope] for scope in event.scopes)),
            secret_sha256=event.secret_sha256,
            expires_at=event.expires_at,
            deployment_ids=frozenset(event.deployment_ids) or None,
        )
    if key is None:
        raise ValueError(f"{event.tag()} before key.created")
    return msgspec.structs.replace(key, revoked=True) if isinstance(event, KeyRevoked) else key


def create(
    key_id: str,
    name: str,
    scopes: list[Scope],
    secret_sha256: str,
    expires_at: datetime | None,
    now: datetime,
    deployment_ids: Sequence[str] = (),
) -> list[KeyEvent]:
    """A key has a name and at least one scope, and does not begin expired."""
    if not name.strip():
        raise BadRequest("name is required")
    if len(name) > 100:
        raise BadRequest("name: at most 100 characters")
    if not scopes:
        raise BadRequest(f"scopes: give at least one of {', '.join(SCOPES)}")
    if expires_at is not None and expires_at.tzinfo is None:
        raise BadRequest("expires_at: give a time zone, for example 2030-01-01T00:00:00Z")
    if expires_at is not None and expires_at <= now:
        raise BadRequest("expires_at lies in the past")
    if len(deployment_ids) > MOST_DEPLOYMENTS:
        raise BadRequest(f"deployment_ids: at most {MOST_DEPLOYMENTS}")
    created = KeyCreated(
        key_id=key_id,
        name=name.strip(),
        scopes=[scope for scope in SCOPES if scope in scopes],
        secret_sha256=secret_sha256,
        expires_at=expires_at,
        deployment_ids=sorted(set(deployment_ids)),
    )
    return [created]


def check(key: Key, now: datetime) -> None:
    """Whether the key still opens anything."""
    if key.revoked:
        raise Unauthorized("This API key was revoked")
    if key.expires_at is not None and key.expires_at <= now:
        raise Unauthorized("This API key has expired")


def revoke(key: Key) -> list[KeyEvent]:
    """Revoking what is revoked changes nothing."""
    return [] if key.revoked else [KeyRevoked(key_id=key.id)]
