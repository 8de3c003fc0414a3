"""Deployments, their versions, what is live where, and the names of their variables."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.deployment import (
    ENVIRONMENTS,
    DeploymentCreated,
    DeploymentDeleted,
    VersionActivated,
    VersionNumbered,
)
from domain.event import Recorded
from domain.variables import VariablesSet, VariableUnset
from domain.version import VersionCreated, VersionFailed, VersionReady
from projections.projection import METADATA, Projection, Row, Write, from_json, is_within, page, text, to_json, upsert

DEPLOYMENTS = sa.Table(
    "deployments",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("framework", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
)
VERSIONS = sa.Table(
    "versions",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("deployment_id", sa.Text, nullable=False),
    sa.Column("version_number", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("framework", sa.Text),
    sa.Column("entrypoint", sa.Text),
    sa.Column("chat", sa.Text),
    sa.Column("manifest", sa.Text),
    sa.Column("source_sha256", sa.Text, nullable=False),
    sa.Column("error_message", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("built_at", sa.Text),
    sa.Index("versions_by_deployment", "deployment_id", "position"),
)
LIVE = sa.Table(
    "live_versions",
    METADATA,
    sa.Column("deployment_id", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, primary_key=True),
    sa.Column("version_id", sa.Text, nullable=False, index=True),
    sa.Column("version_number", sa.Integer, nullable=False),
)
VARIABLES = sa.Table(
    "variables",
    METADATA,
    sa.Column("deployment_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
)

PUT_DEPLOYMENT = upsert(DEPLOYMENTS)
TOUCH = (
    sa.update(DEPLOYMENTS)
    .where(DEPLOYMENTS.c.id == sa.bindparam("deployment"))
    .values(updated_at=sa.bindparam("updated"))
)
FRAME = (
    sa.update(DEPLOYMENTS)
    .where(DEPLOYMENTS.c.id == sa.bindparam("deployment"))
    .values(framework=sa.bindparam("frame"), updated_at=sa.bindparam("updated"))
)
DROP_DEPLOYMENT = sa.delete(DEPLOYMENTS).where(DEPLOYMENTS.c.id == sa.bindparam("deployment"))
DROP_LIVE = sa.delete(LIVE).where(LIVE.c.deployment_id == sa.bindparam("deployment"))
DROP_VARIABLES = sa.delete(VARIABLES).where(VARIABLES.c.deployment_id == sa.bindparam("deployment"))
PUT_VERSION = upsert(VERSIONS)
READY = (
    sa.update(VERSIONS)
    .where(VERSIONS.c.id == sa.bindparam("version"))
    .values(status="ready", built_at=sa.bindparam("built"))
)
FAIL = (
    sa.update(VERSIONS)
    .where(VERSIONS.c.id == sa.bindparam("version"))
    .values(status="failed", error_message=sa.bindparam("error"), built_at=sa.bindparam("built"))
)
PUT_LIVE = upsert(LIVE)
PUT_VARIABLE = (
    insert(VARIABLES)
    .values({column.name: sa.bindparam(column.name) for column in VARIABLES.columns})
    .on_conflict_do_update(index_elements=["deployment_id", "name"], set_={"updated_at": sa.bindparam("updated_at")})
)
DROP_VARIABLE = sa.delete(VARIABLES).where(
    VARIABLES.c.deployment_id == sa.bindparam("deployment"), VARIABLES.c.name == sa.bindparam("variable")
)

GET_VERSION = sa.select(VERSIONS).where(VERSIONS.c.id == sa.bindparam("id"))
LIST_VERSIONS = page(
    sa.select(VERSIONS)
    .where(VERSIONS.c.deployment_id == sa.bindparam("deployment_id"))
    .order_by(VERSIONS.c.position.desc())
)
BUILDING = sa.select(VERSIONS.c.id).where(VERSIONS.c.status == "building").order_by(VERSIONS.c.position)
KEPT = sa.select(VERSIONS.c.id).join(DEPLOYMENTS, DEPLOYMENTS.c.id == VERSIONS.c.deployment_id)
LIVE_OF = sa.select(LIVE).where(LIVE.c.deployment_id == sa.bindparam("deployment_id"))
ALL_LIVE = sa.select(LIVE)
LIST_VARIABLES = (
    sa.select(VARIABLES).where(VARIABLES.c.deployment_id == sa.bindparam("deployment_id")).order_by(VARIABLES.c.name)
)
GET = sa.select(DEPLOYMENTS).where(DEPLOYMENTS.c.id == sa.bindparam("id"))


@cache
def listing(filters: tuple[str, ...], bound: int | None = None) -> "sa.Select[Any]":
    """Deployments, newest first, with these columns at given values; of so many alone."""
    conditions = [DEPLOYMENTS.c[name] == sa.bindparam(name) for name in filters]
    conditions += is_within(DEPLOYMENTS.c.id, bound)
    return page(sa.select(DEPLOYMENTS).where(*conditions).order_by(DEPLOYMENTS.c.position.desc()))


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about deployments and versions."""
    at = text(recorded.at)
    match recorded.event:
        case DeploymentCreated(deployment_id=deployment_id, name=name):
            row = {"id": deployment_id, "position": recorded.position, "name": name, "framework": None}
            yield Write(PUT_DEPLOYMENT, {**row, "created_at": at, "updated_at": at})
        case VersionNumbered(deployment_id=deployment_id, framework=framework):
            yield Write(FRAME, {"deployment": deployment_id, "frame": framework, "updated": at})
        case VersionActivated() as moved:
            live = {"environment": moved.environment, "version_id": moved.version_id}
            live = {"deployment_id": moved.deployment_id, **live}
            yield Write(PUT_LIVE, {**live, "version_number": moved.version_number})
            yield Write(TOUCH, {"deployment": moved.deployment_id, "updated": at})
        case DeploymentDeleted(deployment_id=deployment_id):
            for statement in (DROP_DEPLOYMENT, DROP_LIVE, DROP_VARIABLES):
                yield Write(statement, {"deployment": deployment_id})
        case VersionCreated() as version:
            yield Write(PUT_VERSION, _new_version(recorded, version))
        case VersionReady(version_id=version_id):
            yield Write(READY, {"version": version_id, "built": at})
        case VersionFailed(version_id=version_id, error=error):
            yield Write(FAIL, {"version": version_id, "error": error, "built": at})
        case VariablesSet(deployment_id=deployment_id, names=names):
            for name in names:
                row = {"deployment_id": deployment_id, "name": name}
                yield Write(PUT_VARIABLE, {**row, "created_at": at, "updated_at": at})
        case VariableUnset(deployment_id=deployment_id, name=name):
            yield Write(DROP_VARIABLE, {"deployment": deployment_id, "variable": name})


def _new_version(recorded: Recorded, version: VersionCreated) -> dict[str, Any]:
    return {
        "id": version.version_id,
        "position": recorded.position,
        "deployment_id": version.deployment_id,
        "version_number": version.version_number,
        "status": "building",
        "framework": version.manifest.get("framework"),
        "entrypoint": version.manifest.get("entrypoint"),
        "chat": to_json(version.manifest.get("chat")),
        "manifest": to_json(version.manifest),
        "source_sha256": version.source_sha256,
        "error_message": None,
        "created_at": text(recorded.at),
        "built_at": None,
    }


def public(row: Row, live: Iterable[Row]) -> dict[str, Any]:
    """A deployment as the API shows it, given the rows of its live versions (others are passed over)."""
    environments: dict[str, Any] = dict.fromkeys(ENVIRONMENTS)
    for pointer in live:
        if pointer["deployment_id"] == row["id"]:
            shown = {"version_id": pointer["version_id"], "version_number": pointer["version_number"]}
            environments[pointer["environment"]] = shown
    return {
        "id": row["id"],
        "name": row["name"],
        "framework": row["framework"],
        "environments": environments,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def public_version(row: Row, live: Iterable[Row]) -> dict[str, Any]:
    """A version as the API shows it."""
    shown = {name: value for name, value in row.items() if name != "position"}
    environments = [pointer["environment"] for pointer in live if pointer["version_id"] == row["id"]]
    parsed = {name: from_json(row[name]) for name in ("chat", "manifest")}
    return {**shown, **parsed, "environments": sorted(environments)}


def public_variable(row: Row) -> dict[str, Any]:
    """A variable as the API shows it: never its value."""
    return {"name": row["name"], "created_at": row["created_at"], "updated_at": row["updated_at"]}


DEPLOYMENTS_VIEW = Projection("deployments", 2, (DEPLOYMENTS, VERSIONS, LIVE, VARIABLES), project)
