"""A version: an immutable snapshot of a project, built once."""

from typing import Any, Literal

import msgspec

from domain.deployment import Environment
from domain.event import Event

Status = Literal["building", "ready", "failed"]


class VersionCreated(Event, tag="version.created", frozen=True, kw_only=True):
    """A snapshot was uploaded. `manifest` is the deployment's part of crewship.toml as it was then."""

    version_id: str
    deployment_id: str
    version_number: int
    environment: Environment
    source_sha256: str
    size: int
    files: int
    manifest: dict[str, Any]


class VersionReady(Event, tag="version.ready", frozen=True, kw_only=True):
    """The version can be started. `note` says why it did not go live, where it did not."""

    version_id: str
    version_number: int
    environment: Environment
    activated: bool
    note: str | None = None


class VersionFailed(Event, tag="version.failed", frozen=True, kw_only=True):
    """The version cannot be built and never goes live."""

    version_id: str
    error: str


VersionEvent = VersionCreated | VersionReady | VersionFailed


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a version depend on."""

    id: str
    deployment_id: str
    number: int
    environment: Environment
    source_sha256: str
    manifest: dict[str, Any]
    status: Status = "building"


def evolve(version: Version | None, event: VersionEvent) -> Version:
    """The version after the event."""
    if isinstance(event, VersionCreated):
        return Version(
            id=event.version_id,
            deployment_id=event.deployment_id,
            number=event.version_number,
            environment=event.environment,
            source_sha256=event.source_sha256,
            manifest=event.manifest,
        )
    if version is None:
        raise ValueError(f"{event.tag()} before version.created")
    match event:
        case VersionReady():
            return msgspec.structs.replace(version, status="ready")
        case VersionFailed():
            return msgspec.structs.replace(version, status="failed")


def finish(version: Version, activated: bool, note: str | None) -> list[VersionEvent]:
    """A build ends once."""
    if version.status != "building":
        return []
    return [
        VersionReady(
            version_id=version.id,
            version_number=version.number,
            environment=version.environment,
            activated=activated,
            note=note,
        )
    ]


def fail(version: Version, error: str) -> list[VersionEvent]:
    """A build ends once."""
    if version.status != "building":
        return []
    return [VersionFailed(version_id=version.id, error=error)]
