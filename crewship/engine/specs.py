"""What a runner is told: what every run of a version shares, and what is one run's own (see guard/spec.py)."""

from typing import Any

import msgspec

from crewship.commands.keys import Keys
from domain.manifest import DeploymentManifest
from domain.run import Run
from domain.version import Version

GRACE_SECONDS = 10.0


def manifest_of(version: Version) -> DeploymentManifest:
    """What a version's crewship.toml said."""
    return msgspec.convert(version.manifest, DeploymentManifest)


def shared(
    manifest: DeploymentManifest,
    variables: dict[str, str],
    api_url: str,
    *,
    deployment_id: str,
    version_id: str,
    environment: str,
) -> dict[str, Any]:
    """The spec without a run: all that is needed to import the framework and the entrypoint."""
    limits = manifest.limits
    return {
        "run_id": "",
        "framework": manifest.framework,
        "entrypoint": manifest.entrypoint,
        "chat": msgspec.to_builtins(manifest.chat),
        "env": {
            **variables,
            "CREWSHIP_DEPLOYMENT_ID": deployment_id,
            "CREWSHIP_VERSION_ID": version_id,
            "CREWSHIP_ENVIRONMENT": environment,
            "CREWSHIP_API_URL": api_url,
        },
        "limits": {
            "timeout": limits.timeout,
            "grace": GRACE_SECONDS,
            "memory": limits.memory,
            "processes": limits.processes,
            "disk": limits.disk,
            "logs": limits.logs,
            "cpus": limits.cpus,
        },
    }


def own(run: Run, given: dict[str, Any], conversation: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """One run's part: the call of a warm sandbox."""
    environment = {
        "CREWSHIP_RUN_ID": run.id,
        "CREWSHIP_ATTEMPT": str(run.attempt),
        "CREWSHIP_API_KEY": keys.of_run(run.id),
    }
    if run.thread_id is not None:
        environment["CREWSHIP_THREAD_ID"] = run.thread_id
    return {"run_id": run.id, **conversation, "input": given, "env": environment}


def joined(shared_part: dict[str, Any], own_part: dict[str, Any]) -> dict[str, Any]:
    """The whole spec, for a sandbox that is told everything at once."""
    return {**shared_part, **own_part, "env": {**shared_part["env"], **own_part["env"]}}
