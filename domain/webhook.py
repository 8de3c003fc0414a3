"""A deployment's webhooks: tokens that start runs, and endpoints that are told how runs ended."""

from datetime import datetime, timedelta
from typing import Literal, TypeVar

import msgspec

from domain.deployment import Environment
from domain.errors import BadRequest, Conflict, NotFound
from domain.event import Event, Sealed

Notice = Literal["run.succeeded", "run.failed", "run.canceled"]
NOTICES: tuple[Notice, ...] = ("run.succeeded", "run.failed", "run.canceled")
MOST_WEBHOOKS = 50
LONGEST_NAME = 100
OLD_SECRET_LASTS = timedelta(hours=24)


class IncomingCreated(Event, tag="webhook.incoming_created", frozen=True, kw_only=True):
    """Whoever knows a token may start runs in one environment; only the token's hash is kept."""

    webhook_id: str
    deployment_id: str
    name: str
    environment: Environment
    token_sha256: str


class OutgoingCreated(Event, tag="webhook.outgoing_created", frozen=True, kw_only=True):
    """An endpoint is told of the runs that end from `since` on. Its address may hold a secret of its owner's."""

    webhook_id: str
    deployment_id: str
    name: str
    events: list[Notice]
    since: datetime
    url: Sealed[str] = None
    secret: Sealed[str] = None


class WebhookChanged(Event, tag="webhook.changed", frozen=True, kw_only=True):
    """What is given here is so from now on; the rest stays."""

    webhook_id: str
    name: str | None = None
    environment: Environment | None = None
    events: list[Notice] | None = None
    url: Sealed[str] = None


class TokenRotated(Event, tag="webhook.token_rotated", frozen=True, kw_only=True):
    """Another token starts runs; the one before starts none any more."""

    webhook_id: str
    token_sha256: str


class SecretRotated(Event, tag="webhook.secret_rotated", frozen=True, kw_only=True):
    """Deliveries are signed with another secret, and until then with the one before too."""

    webhook_id: str
    old_lasts_until: datetime
    secret: Sealed[str] = None


class WebhookPaused(Event, tag="webhook.paused", frozen=True, kw_only=True):
    """The endpoint kept failing: its deliveries wait until somebody resumes it."""

    webhook_id: str
    reason: str


class WebhookResumed(Event, tag="webhook.resumed", frozen=True, kw_only=True):
    """Deliveries go out again."""

    webhook_id: str


class WebhookDeleted(Event, tag="webhook.deleted", frozen=True, kw_only=True):
    """The token starts nothing, the endpoint is told nothing any more."""

    webhook_id: str


class TokenIssued(Event, tag="token.issued", frozen=True, kw_only=True):
    """The token with this hash belongs to a webhook."""

    deployment_id: str
    webhook_id: str


WebhookEvent = (
    IncomingCreated
    | OutgoingCreated
    | WebhookChanged
    | TokenRotated
    | SecretRotated
    | WebhookPaused
    | WebhookResumed
    | WebhookDeleted
)


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A token that starts runs."""

    id: str
    name: str
    environment: Environment
    token_sha256: str


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `url` and `secret` are None once they were forgotten."""

    id: str
    name: str
    events: list[Notice]
    since: datetime
    url: str | None
    secret: str | None
    old_secret: str | None = None
    old_lasts_until: datetime | None = None
    paused: bool = False

    def secrets(self, now: datetime) -> list[str]:
        """What deliveries are signed with now, the newest first."""
        found = [self.secret] if self.secret else []
        if self.old_secret and self.old_lasts_until is not None and now < self.old_lasts_until:
            found.append(self.old_secret)
        return found


Webhook = Incoming | Outgoing
OneKind = TypeVar("OneKind", Incoming, Outgoing)


class Webhooks(msgspec.Struct, frozen=True):
    """All webhooks of a deployment by their ids."""

    by_id: dict[str, Webhook] = {}

    def find(self, webhook_id: str) -> Webhook:
        """The webhook; raises NotFound."""
        if webhook_id not in self.by_id:
            raise NotFound(f"Webhook {webhook_id[:80]} not found")
        return self.by_id[webhook_id]

    def of_kind(self, webhook_id: str, kind: type[OneKind]) -> OneKind:
        """The webhook, which must be of that kind; raises NotFound, BadRequest."""
        found = self.find(webhook_id)
        if not isinstance(found, kind):
            raise BadRequest(f"Webhook {webhook_id} is not {kind.__name__.lower()}")
        return found

    def told_of(self, notice: Notice, at: datetime) -> list[Outgoing]:
        """The endpoints that are told of what happened then."""
        outgoing = [webhook for webhook in self.by_id.values() if isinstance(webhook, Outgoing)]
        return [webhook for webhook in outgoing if notice in webhook.events and webhook.since <= at]


def stream(deployment_id: str) -> str:
    """The stream of a deployment's webhooks."""
    return f"{deployment_id}:webhooks"


def token_stream(token_sha256: str) -> str:
    """The stream that says whose a token is."""
    return f"token:{token_sha256}"


def issued(_: TokenIssued | None, event: TokenIssued) -> TokenIssued:
    """Whose a token is."""
    return event


def evolve(webhooks: Webhooks | None, event: WebhookEvent) -> Webhooks:
    """The webhooks after the event."""
    before = webhooks.by_id if webhooks else {}
    if isinstance(event, WebhookDeleted):
        return Webhooks({name: webhook for name, webhook in before.items() if name != event.webhook_id})
    return Webhooks({**before, event.webhook_id: _evolved(before.get(event.webhook_id), event)})


def _evolved(webhook: Webhook | None, event: WebhookEvent) -> Webhook:
    match webhook, event:
        case None, IncomingCreated():
            return Incoming(
                id=event.webhook_id, name=event.name, environment=event.environment, token_sha256=event.token_sha256
            )
        case None, OutgoingCreated():
            return Outgoing(
                id=event.webhook_id,
                name=event.name,
                events=event.events,
                since=event.since,
                url=event.url,
                secret=event.secret,
            )
        case Incoming(), WebhookChanged(name=name, environment=environment):
            return msgspec.structs.replace(
                webhook, name=name or webhook.name, environment=environment or webhook.environment
            )
        case Incoming(), TokenRotated(token_sha256=sha256):
            return msgspec.structs.replace(webhook, token_sha256=sha256)
        case Outgoing(), WebhookChanged(name=name, events=events, url=url):
            return msgspec.structs.replace(
                webhook, name=name or webhook.name, events=events or webhook.events, url=url or webhook.url
            )
        case Outgoing(), SecretRotated(secret=secret, old_lasts_until=until):
            return msgspec.structs.replace(webhook, secret=secret, old_secret=webhook.secret, old_lasts_until=until)
        case Outgoing(), WebhookPaused():
            return msgspec.structs.replace(webhook, paused=True)
        case Outgoing(), WebhookResumed():
            return msgspec.structs.replace(webhook, paused=False)
    raise ValueError(f"{event.tag()} does not fit webhook {event.webhook_id}")


def create_incoming(
    webhooks: Webhooks | None, deployment_id: str, webhook_id: str, name: str, environment: Environment, sha256: str
) -> list[WebhookEvent]:
    """A token with a name of its own."""
    return [
        IncomingCreated(
            webhook_id=webhook_id,
            deployment_id=deployment_id,
            name=_room_and_name(webhooks, name),
            environment=environment,
            token_sha256=sha256,
        )
    ]


def create_outgoing(
    webhooks: Webhooks | None,
    deployment_id: str,
    webhook_id: str,
    name: str,
    url: str,
    events: list[Notice],
    secret: str,
    now: datetime,
) -> list[WebhookEvent]:
    """An endpoint with a name of its own, told of at least one kind of end."""
    return [
        OutgoingCreated(
            webhook_id=webhook_id,
            deployment_id=deployment_id,
            name=_room_and_name(webhooks, name),
            events=_some(events),
            since=now,
            url=url,
            secret=secret,
        )
    ]


def change(
    webhooks: Webhooks | None,
    webhook_id: str,
    *,
    name: str | None = None,
    environment: Environment | None = None,
    events: list[Notice] | None = None,
    url: str | None = None,
) -> list[WebhookEvent]:
    """An endpoint has an address and events, a token an environment."""
    known = webhooks or Webhooks()
    webhook = known.find(webhook_id)
    if isinstance(webhook, Incoming) and (events is not None or url is not None):
        raise BadRequest(f"{'url' if events is None else 'events'}: an incoming webhook has none")
    if isinstance(webhook, Outgoing) and environment is not None:
        raise BadRequest("environment: an outgoing webhook has none; it is told of the runs of both")
    if name is not None:
        name = None if name.strip() == webhook.name else _name(known, name)
    if all(given is None for given in (name, environment, events, url)):
        return []
    some = None if events is None else _some(events)
    return [WebhookChanged(webhook_id=webhook_id, name=name, environment=environment, events=some, url=url)]


def rotate_token(webhooks: Webhooks | None, webhook_id: str, sha256: str) -> list[WebhookEvent]:
    """The token before opens nothing from now on."""
    (webhooks or Webhooks()).of_kind(webhook_id, Incoming)
    return [TokenRotated(webhook_id=webhook_id, token_sha256=sha256)]


def rotate_secret(webhooks: Webhooks | None, webhook_id: str, secret: str, now: datetime) -> list[WebhookEvent]:
    """The secret before signs beside the new one for a day, so that a receiver can be changed over in peace."""
    (webhooks or Webhooks()).of_kind(webhook_id, Outgoing)
    return [SecretRotated(webhook_id=webhook_id, secret=secret, old_lasts_until=now + OLD_SECRET_LASTS)]


def pause(webhooks: Webhooks | None, webhook_id: str, reason: str) -> list[WebhookEvent]:
    """Pausing what is paused or gone changes nothing."""
    webhook = (webhooks or Webhooks()).by_id.get(webhook_id)
    if not isinstance(webhook, Outgoing) or webhook.paused:
        return []
    return [WebhookPaused(webhook_id=webhook_id, reason=reason)]


def resume(webhooks: Webhooks | None, webhook_id: str) -> list[WebhookEvent]:
    """Resuming what goes on changes nothing."""
    webhook = (webhooks or Webhooks()).of_kind(webhook_id, Outgoing)
    return [WebhookResumed(webhook_id=webhook_id)] if webhook.paused else []


def delete(webhooks: Webhooks | None, webhook_id: str) -> list[WebhookEvent]:
    """Only what is there can be deleted."""
    (webhooks or Webhooks()).find(webhook_id)
    return [WebhookDeleted(webhook_id=webhook_id)]


def _room_and_name(webhooks: Webhooks | None, name: str) -> str:
    known = webhooks or Webhooks()
    if len(known.by_id) >= MOST_WEBHOOKS:
        raise BadRequest(f"A deployment has at most {MOST_WEBHOOKS} webhooks")
    return _name(known, name)


def _name(webhooks: Webhooks, name: str) -> str:
    name = name.strip()
    if not name:
        raise BadRequest("name is required")
    if len(name) > LONGEST_NAME:
        raise BadRequest(f"name: at most {LONGEST_NAME} characters")
    if any(webhook.name == name for webhook in webhooks.by_id.values()):
        raise Conflict(f"A webhook named {name} exists already")
    return name


def _some(events: list[Notice]) -> list[Notice]:
    if not events:
        raise BadRequest(f"events: give at least one of {', '.join(NOTICES)}")
    return [notice for notice in NOTICES if notice in events]
