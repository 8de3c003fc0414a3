"""A deployment: the stable, named home of one agent project, and which version is live in each environment."""

from typing import Literal

import msgspec

from domain.errors import BadRequest, Conflict, NotFound
from domain.event import Event

Environment = Literal["production", "staging"]
ENVIRONMENTS: tuple[Environment, ...] = ("production", "staging")
Reason = Literal["deploy", "promote", "rollback"]


class DeploymentCreated(Event, tag="deployment.created", frozen=True, kw_only=True):
    """A name was given to a project that may be deployed from now on."""

    deployment_id: str
    name: str


class VersionNumbered(Event, tag="deployment.version_numbered", frozen=True, kw_only=True):
    """A version took the deployment's next number."""

    deployment_id: str
    version_id: str
    version_number: int
    environment: Environment
    framework: str


class VersionActivated(Event, tag="deployment.version_activated", frozen=True, kw_only=True):
    """An environment points at another version from here on."""

    deployment_id: str
    environment: Environment
    version_id: str
    version_number: int
    reason: Reason


class DeploymentClosed(Event, tag="deployment.closed", frozen=True, kw_only=True):
    """Somebody wants to delete the deployment: no run begins from here on, so that those there are can be counted."""

    deployment_id: str


class DeploymentReopened(Event, tag="deployment.reopened", frozen=True, kw_only=True):
    """It could not be deleted, since runs of it were under way; it takes runs again."""

    deployment_id: str


class DeploymentDeleted(Event, tag="deployment.deleted", frozen=True, kw_only=True):
    """The deployment takes no more work and its name is free; its history stays."""

    deployment_id: str
    name: str


DeploymentEvent = (
    DeploymentCreated | VersionNumbered | VersionActivated | DeploymentClosed | DeploymentReopened | DeploymentDeleted
)


class Active(msgspec.Struct, frozen=True):
    """A version that an environment points at, or did."""

    version_id: str
    version_number: int


class Pointer(msgspec.Struct, frozen=True):
    """One environment's way through the versions: the last of `path` is live, those before it were, oldest first.

    Going back shortens the path, so that going back again goes further back. `forgone` is the highest version number
    that existed when somebody last went back: no build from before that moment takes the environment over.
    """

    path: tuple[Active, ...] = ()
    forgone: int = 0

    @property
    def active(self) -> Active | None:
        """The live version, if there is one."""
        return self.path[-1] if self.path else None


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions about a deployment depend on."""

    id: str
    name: str
    closed: bool = False
    deleted: bool = False
    latest_number: int = 0
    numbers: dict[str, int] = {}
    pointers: dict[str, Pointer] = {}

    def pointer(self, environment: str) -> Pointer:
        """The environment's pointer; an empty one before the first deploy."""
        return self.pointers.get(environment, Pointer())


def evolve(deployment: Deployment | None, event: DeploymentEvent) -> Deployment:
    """The deployment after the event."""
    if isinstance(event, DeploymentCreated):
        return Deployment(id=event.deployment_id, name=event.name)
    if deployment is None:
        raise ValueError(f"{event.tag()} before deployment.created")
    match event:
        case VersionNumbered(version_id=version_id, version_number=number):
            numbers = {**deployment.numbers, version_id: number}
            return msgspec.structs.replace(deployment, latest_number=number, numbers=numbers)
        case VersionActivated():
            pointer = _moved(deployment, event)
            return msgspec.structs.replace(deployment, pointers={**deployment.pointers, event.environment: pointer})
        case DeploymentClosed():
            return msgspec.structs.replace(deployment, closed=True)
        case DeploymentReopened():
            return msgspec.structs.replace(deployment, closed=False)
        case DeploymentDeleted():
            return msgspec.structs.replace(deployment, deleted=True)


def _moved(deployment: Deployment, event: VersionActivated) -> Pointer:
    pointer = deployment.pointer(event.environment)
    target = Active(event.version_id, event.version_number)
    if event.reason != "rollback":
        path = pointer.path if pointer.active == target else (*pointer.path, target)
        return Pointer(path, pointer.forgone)
    if target in pointer.path:
        back = len(pointer.path) - pointer.path[::-1].index(target)
        return Pointer(pointer.path[:back], deployment.latest_number)
    return Pointer((*pointer.path[:-1], target), deployment.latest_number)


def number(deployment: Deployment, version_id: str, environment: Environment, framework: str) -> VersionNumbered:
    """The next version takes the next number."""
    return VersionNumbered(
        deployment_id=deployment.id,
        version_id=version_id,
        version_number=deployment.latest_number + 1,
        environment=environment,
        framework=framework,
    )


def activate(
    deployment: Deployment, environment: Environment, version_id: str
) -> tuple[list[DeploymentEvent], str | None]:
    """A version that was built goes live, unless a newer one already is or somebody went back meanwhile.

    Returns the events and, where it does not go live, why.
    """
    built = deployment.numbers[version_id]
    pointer = deployment.pointer(environment)
    if deployment.deleted:
        return [], "the deployment was deleted meanwhile"
    if pointer.active is not None and pointer.active.version_number > built:
        return [], f"version {pointer.active.version_number}, which is newer, is already live in {environment}"
    if pointer.forgone >= built:
        return [], f"{environment} was rolled back while this version was being built"
    return [_activation(deployment, environment, version_id, "deploy")], None


def roll_back(deployment: Deployment, environment: Environment, version_id: str | None) -> list[DeploymentEvent]:
    """The environment goes back to a version, or to the one that was live before the present one."""
    pointer = deployment.pointer(environment)
    if version_id is None:
        if len(pointer.path) < 2:
            raise BadRequest(f"There is no previous version in {environment} to roll back to")
        version_id = pointer.path[-2].version_id
    elif version_id not in deployment.numbers:
        raise NotFound(f"Version {version_id} does not belong to deployment {deployment.name}")
    if pointer.active is not None and pointer.active.version_id == version_id:
        raise BadRequest(f"Version {pointer.active.version_number} is already live in {environment}")
    return [_activation(deployment, environment, version_id, "rollback")]


def promote(deployment: Deployment, source: Environment, target: Environment) -> list[DeploymentEvent]:
    """What is live in one environment goes live in another."""
    if source == target:
        raise BadRequest("from and to name the same environment")
    active = deployment.pointer(source).active
    if active is None:
        raise BadRequest(f"No version is live in {source}")
    if deployment.pointer(target).active == active:
        return []
    return [_activation(deployment, target, active.version_id, "promote")]


def takes_runs(deployment: Deployment) -> None:
    """Whether a run may begin: not while the deployment is being deleted."""
    if deployment.closed:
        raise Conflict(f"Deployment {deployment.name} is being deleted")


def live_version(deployment: Deployment, environment: Environment) -> Active:
    """The version that a run in this environment executes."""
    takes_runs(deployment)
    active = deployment.pointer(environment).active
    if active is None:
        raise BadRequest(f"No running version found for {environment} environment")
    return active


def close(deployment: Deployment) -> list[DeploymentEvent]:
    """Let no run begin any more. Closing what is closed changes nothing."""
    return [] if deployment.closed else [DeploymentClosed(deployment_id=deployment.id)]


def delete(deployment: Deployment, unfinished_runs: int) -> list[DeploymentEvent]:
    """Only a closed deployment at rest is deleted; one with unfinished runs is opened again."""
    if not deployment.closed:
        raise Conflict(f"Deployment {deployment.name} still takes runs")
    if unfinished_runs:
        return [DeploymentReopened(deployment_id=deployment.id)]
    return [DeploymentDeleted(deployment_id=deployment.id, name=deployment.name)]


def in_use(deployment: Deployment, unfinished_runs: int) -> Conflict:
    """Why a deployment was not deleted."""
    runs = "1 unfinished run" if unfinished_runs == 1 else f"{unfinished_runs} unfinished runs"
    return Conflict(f"Deployment {deployment.name} has {runs}; cancel first")


def _activation(deployment: Deployment, environment: Environment, version_id: str, reason: Reason) -> VersionActivated:
    return VersionActivated(
        deployment_id=deployment.id,
        environment=environment,
        version_id=version_id,
        version_number=deployment.numbers[version_id],
        reason=reason,
    )
