"""What the API answers about webhooks, as structs; see shapes.py."""

from typing import Any, Literal

import msgspec

from domain.deployment import Environment
from domain.webhook import Notice


class Webhook(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A token that starts runs in `environment`, or an endpoint at `url` that is told of `events`."""

    id: str
    deployment_id: str
    direction: Literal["incoming", "outgoing"]
    name: str
    environment: Environment | None = None
    url: str | None = None
    events: list[Notice] | None = None
    status: Literal["active", "paused"] | None = None
    paused_at: str | None = None
    paused_reason: str | None = None
    created_at: str
    updated_at: str


class NewWebhook(Webhook, kw_only=True, omit_defaults=True):
    """A webhook, this once with what is secret about it: `token` and the `url` to post to, or `secret`."""

    token: str | None = None
    secret: str | None = None


class Webhooks(msgspec.Struct):
    """Webhooks, newest first."""

    webhooks: list[Webhook]


class Delivered(msgspec.Struct, kw_only=True):
    """One thing told to one endpoint. `next_attempt_at` while it is pending."""

    id: str
    webhook_id: str
    run_id: str | None
    event: Notice | Literal["ping"]
    status: Literal["pending", "succeeded", "failed"]
    created_at: str
    completed_at: str | None
    next_attempt_at: str | None


class CountedDelivery(Delivered, kw_only=True):
    """A delivery in a list: how many attempts there were."""

    attempts: int


class Deliveries(msgspec.Struct):
    """Deliveries, newest first."""

    deliveries: list[CountedDelivery]


class Attempt(msgspec.Struct, kw_only=True):
    """One attempt. `unknown` is one that is under way, or that a crash has cut off; `response` how it was answered."""

    number: int
    outcome: Literal["unknown", "succeeded", "failed"]
    status_code: int | None
    error: str | None
    response: str | None
    duration_ms: int | None
    started_at: str
    ended_at: str | None


class Delivery(Delivered, kw_only=True):
    """A delivery with every attempt."""

    attempts: list[Attempt]


Input = dict[str, Any]
"""The body that starts a run: its input."""
