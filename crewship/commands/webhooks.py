"""Webhooks: handing out tokens and secrets, changing, rotating, pausing, deleting."""

import base64
import hashlib
import hmac
import os
from collections.abc import Callable

from crewship import clock, ids
from crewship.commands import deployments
from crewship.commands.deciding import decide
from crewship.commands.idempotency import Idempotency, made, making
from crewship.eventlog import Author, Change, EventLog
from domain import webhook as rules
from domain.deployment import Environment
from domain.errors import Conflict, NotFound
from domain.webhook import Incoming, Notice, TokenIssued, WebhookEvent, Webhooks

TOKEN_PREFIX = "whr_"  # noqa: S105 what tokens begin with
TOKEN_CHARACTERS = 40
SECRET_PREFIX = "whsec_"  # noqa: S105 what secrets begin with, as Standard Webhooks has it
SECRET_BYTES = 32

Decision = Callable[[Webhooks | None, str], tuple[list[WebhookEvent], list[Change]]]


async def of(log: EventLog, deployment_id: str) -> Webhooks:
    """A deployment's webhooks."""
    webhooks, _ = await log.load(rules.stream(deployment_id), rules.evolve)
    return webhooks or Webhooks()


async def create_incoming(
    log: EventLog,
    deployment: str,
    name: str,
    environment: Environment,
    author: Author,
    idempotency: Idempotency | None = None,
) -> tuple[str, str]:
    """Make a token that starts runs; returns the webhook's id and the token, which nobody can see again.

    Nor can who repeats the request: that is a Conflict, which names the webhook that there is.
    """
    webhook_id, (token, sha256) = ids.new("whk"), _new_token()

    def create(webhooks: Webhooks | None, deployment_id: str) -> tuple[list[WebhookEvent], list[Change]]:
        events = rules.create_incoming(webhooks, deployment_id, webhook_id, name, environment, sha256)
        return events, [_issue(sha256, deployment_id, webhook_id), *making(idempotency, webhook_id)]

    await _decide(log, deployment, create, author, idempotency)
    return webhook_id, token


async def create_outgoing(
    log: EventLog,
    deployment: str,
    name: str,
    url: str,
    events: list[Notice],
    author: Author,
    idempotency: Idempotency | None = None,
) -> tuple[str, str]:
    """Tell an address of runs that end; returns the webhook's id and its secret, which nobody can see again.

    A repeated request is a Conflict, as for a token.
    """
    webhook_id, secret = ids.new("whk"), _new_secret()

    def create(webhooks: Webhooks | None, deployment_id: str) -> tuple[list[WebhookEvent], list[Change]]:
        created = rules.create_outgoing(webhooks, deployment_id, webhook_id, name, url, events, secret, clock.now())
        return created, making(idempotency, webhook_id)

    await _decide(log, deployment, create, author, idempotency)
    return webhook_id, secret


async def rotate(log: EventLog, deployment: str, webhook_id: str, author: Author) -> tuple[str, bool]:
    """A new token or secret in place of the one before; returns it and whether it is a token."""
    (token, sha256), secret = _new_token(), _new_secret()
    incoming = False

    def turn(webhooks: Webhooks | None, deployment_id: str) -> tuple[list[WebhookEvent], list[Change]]:
        nonlocal incoming
        incoming = isinstance((webhooks or Webhooks()).find(webhook_id), Incoming)
        if incoming:
            return rules.rotate_token(webhooks, webhook_id, sha256), [_issue(sha256, deployment_id, webhook_id)]
        return rules.rotate_secret(webhooks, webhook_id, secret, clock.now()), []

    await _decide(log, deployment, turn, author)
    return (token, True) if incoming else (secret, False)


async def change(
    log: EventLog,
    deployment: str,
    webhook_id: str,
    author: Author,
    *,
    name: str | None = None,
    environment: Environment | None = None,
    events: list[Notice] | None = None,
    url: str | None = None,
) -> None:
    """Give a webhook another name, environment, address or list of events."""
    given = {"name": name, "environment": environment, "events": events, "url": url}
    await _decide(log, deployment, lambda webhooks, _: (rules.change(webhooks, webhook_id, **given), []), author)  # type: ignore[arg-type]


async def resume(log: EventLog, deployment: str, webhook_id: str, author: Author) -> None:
    """Let a paused endpoint be told again, of what waits for it first."""
    await _decide(log, deployment, lambda webhooks, _: (rules.resume(webhooks, webhook_id), []), author)


async def pause(log: EventLog, deployment: str, webhook_id: str, reason: str, author: Author) -> None:
    """Tell an endpoint nothing more until somebody resumes it."""
    await _decide(log, deployment, lambda webhooks, _: (rules.pause(webhooks, webhook_id, reason), []), author)


async def delete(log: EventLog, deployment: str, webhook_id: str, author: Author) -> None:
    """Revoke a token, or forget an endpoint and what waits for it."""
    await _decide(log, deployment, lambda webhooks, _: (rules.delete(webhooks, webhook_id), []), author)


async def by_token(log: EventLog, token: str) -> tuple[str, Incoming]:
    """The deployment and the webhook whose token this is; raises NotFound for one that starts nothing."""
    unknown = NotFound("This webhook does not exist, or its token was rotated or revoked")
    sha256 = _hash(token)
    issued, _ = (
        await log.load(rules.token_stream(sha256), rules.issued) if token.startswith(TOKEN_PREFIX) else (None, 0)
    )
    if issued is None:
        raise unknown
    webhook = (await of(log, issued.deployment_id)).by_id.get(issued.webhook_id)
    if not isinstance(webhook, Incoming) or not hmac.compare_digest(webhook.token_sha256, sha256):
        raise unknown
    return issued.deployment_id, webhook


async def _decide(
    log: EventLog, reference: str, decision: Decision, author: Author, idempotency: Idempotency | None = None
) -> None:
    async def attempt() -> None:
        if (earlier := await made(log, idempotency)) is not None:
            raise Conflict(
                "This request made a webhook already, whose secret was shown then and cannot be again", id=earlier
            )
        deployment, deployment_at = await deployments.find(log, reference)
        stream = rules.stream(deployment.id)
        webhooks, at = await log.load(stream, rules.evolve)
        events, others = decision(webhooks, deployment.id)
        if events:
            await log.append(Change(deployment.id, deployment_at), Change(stream, at, events), *others, author=author)

    await decide(attempt)


def _issue(sha256: str, deployment_id: str, webhook_id: str) -> Change:
    return Change(rules.token_stream(sha256), 0, [TokenIssued(deployment_id=deployment_id, webhook_id=webhook_id)])


def _new_token() -> tuple[str, str]:
    token = TOKEN_PREFIX + ids.random_text(TOKEN_CHARACTERS)
    return token, _hash(token)


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
