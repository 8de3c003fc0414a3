"""Everything that can happen: the union of all events. The only such list."""

from typing import get_args

from domain.access import KeyEvent
from domain.delivery import DeliveryEvent, NotifierAdvanced
from domain.deployment import DeploymentEvent
from domain.erasure import DataDestroyed
from domain.event import Event
from domain.name import NameEvent, RequestFulfilled, RequestRemembered, RowsRemembered
from domain.output import OutputEvent
from domain.retention import RetentionEvent
from domain.row import RowEvent
from domain.run import RunEvent
from domain.schedule import ScheduleEvent, Ticked
from domain.seal import LogSealed
from domain.table import TableEvent
from domain.thread import StateEvent, ThreadEvent
from domain.variables import VariablesEvent
from domain.version import VersionEvent
from domain.webhook import TokenIssued, WebhookEvent

CatalogEvent = (
    KeyEvent
    | DataDestroyed
    | DeliveryEvent
    | DeploymentEvent
    | NameEvent
    | RequestFulfilled
    | RequestRemembered
    | NotifierAdvanced
    | RowsRemembered
    | OutputEvent
    | RetentionEvent
    | RowEvent
    | RunEvent
    | LogSealed
    | ScheduleEvent
    | StateEvent
    | TableEvent
    | ThreadEvent
    | Ticked
    | TokenIssued
    | VariablesEvent
    | VersionEvent
    | WebhookEvent
)

BY_TAG: dict[str, type[Event]] = {event.tag(): event for event in get_args(CatalogEvent)}
"""Each event by its stored tag."""
