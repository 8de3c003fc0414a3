"""Everything that can happen: the union of all events. The only such list."""

from typing import get_args

from domain.access import KeyEvent
from domain.deployment import DeploymentEvent
from domain.event import Event
from domain.name import NameEvent, RequestRemembered
from domain.output import OutputEvent
from domain.run import RunEvent
from domain.thread import StateEvent, ThreadEvent
from domain.variables import VariablesEvent
from domain.version import VersionEvent

CatalogEvent = (
    KeyEvent
    | DeploymentEvent
    | NameEvent
    | RequestRemembered
    | OutputEvent
    | RunEvent
    | StateEvent
    | ThreadEvent
    | VariablesEvent
    | VersionEvent
)

BY_TAG: dict[str, type[Event]] = {event.tag(): event for event in get_args(CatalogEvent)}
"""Each event by its stored tag."""
