"""A deployment's environment variables. Their values are sealed and are given to runs alone."""

import re

import msgspec

from domain.errors import BadRequest, NotFound
from domain.event import Event, Sealed

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
MOST_VARIABLES = 256
LONGEST_VALUE = 64 * 1024
RESERVED = "CREWSHIP_"


class VariablesSet(Event, tag="variables.set", frozen=True, kw_only=True):
    """Variables got new values; others keep theirs. `names` stays readable, `values` is sealed."""

    deployment_id: str
    names: list[str]
    values: Sealed[dict[str, str]] = None


class VariableUnset(Event, tag="variables.unset", frozen=True, kw_only=True):
    """A variable is gone from the next run on."""

    deployment_id: str
    name: str


VariablesEvent = VariablesSet | VariableUnset


class Variables(msgspec.Struct, frozen=True):
    """The values that the next run gets."""

    values: dict[str, str] = {}


def evolve(variables: Variables | None, event: VariablesEvent) -> Variables:
    """The variables after the event."""
    before = variables.values if variables else {}
    match event:
        case VariablesSet(values=values):
            return Variables({**before, **(values or {})})
        case VariableUnset(name=name):
            return Variables({key: value for key, value in before.items() if key != name})


def stream(deployment_id: str) -> str:
    """The stream of a deployment's variables."""
    return f"{deployment_id}:env"


def set_values(variables: Variables | None, deployment_id: str, values: dict[str, str]) -> list[VariablesEvent]:
    """Names are those a shell can set; what Crewship sets itself cannot be set."""
    if not values:
        raise BadRequest("variables is empty: give at least one name and value")
    for name, value in values.items():
        if not NAME.fullmatch(name):
            raise BadRequest(f"variables.{name[:64]}: not a name of an environment variable (letters, digits and _)")
        if name.startswith(RESERVED):
            raise BadRequest(f"variables.{name}: names that begin with {RESERVED} are set by Crewship")
        if "\0" in value:
            raise BadRequest(f"variables.{name}: a value cannot hold a NUL character")
        if len(value.encode(errors="surrogatepass")) > LONGEST_VALUE:
            raise BadRequest(f"variables.{name}: a value is at most {LONGEST_VALUE // 1024} KiB")
    known = variables.values if variables else {}
    if len(known.keys() | values.keys()) > MOST_VARIABLES:
        raise BadRequest(f"variables: a deployment has at most {MOST_VARIABLES}")
    return [VariablesSet(deployment_id=deployment_id, names=sorted(values), values=values)]


def unset(variables: Variables | None, deployment_id: str, name: str) -> list[VariablesEvent]:
    """Only what is set can be unset."""
    if variables is None or name not in variables.values:
        raise NotFound(f"Variable {name} is not set")
    return [VariableUnset(deployment_id=deployment_id, name=name)]
