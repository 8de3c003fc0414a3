"""Webhooks and their deliveries, for the golden log."""

from datetime import UTC, datetime, timedelta

from crewship.eventlog import Change
from domain import delivery, webhook

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def webhooks() -> list[Change]:
    """A token and an endpoint through all that can happen to them, and two deliveries."""
    stream = delivery.stream("dep_1", "whk_2", "run_1")
    return [
        Change("dep_1:webhooks", 0, _webhooks()),
        Change("token:ab", 0, [webhook.TokenIssued(deployment_id="dep_1", webhook_id="whk_1")]),
        Change(stream, 0, _delivery()),
        Change("notifier", 0, [delivery.NotifierAdvanced(position=5_000)]),
    ]


def _webhooks() -> list[webhook.WebhookEvent]:
    incoming = webhook.IncomingCreated(
        webhook_id="whk_1", deployment_id="dep_1", name="in", environment="staging", token_sha256="ab" * 32
    )
    outgoing = webhook.OutgoingCreated(
        webhook_id="whk_2",
        deployment_id="dep_1",
        name="out",
        events=["run.succeeded", "run.failed"],
        since=AT,
        url="https://example.com/secret",
        secret="whsec_b25l",
    )
    gone = webhook.IncomingCreated(
        webhook_id="whk_3", deployment_id="dep_1", name="gone", environment="production", token_sha256="cd" * 32
    )
    return [
        incoming,
        outgoing,
        webhook.WebhookChanged(webhook_id="whk_1", name="within", environment="production"),
        webhook.WebhookChanged(webhook_id="whk_2", events=["run.canceled"], url="https://example.org"),
        webhook.TokenRotated(webhook_id="whk_1", token_sha256="ef" * 32),
        webhook.SecretRotated(webhook_id="whk_2", secret="whsec_dHdv", old_lasts_until=AT + timedelta(days=1)),
        webhook.WebhookPaused(webhook_id="whk_2", reason="it answered 410 Gone"),
        webhook.WebhookResumed(webhook_id="whk_2"),
        gone,
        webhook.WebhookDeleted(webhook_id="whk_3"),
    ]


def _delivery() -> list[delivery.DeliveryEvent]:
    def begun(number: int) -> delivery.AttemptBegun:
        return delivery.AttemptBegun(delivery_id="dlv_1", number=number, server_id="srv_1", epoch=3, until=AT)

    return [
        delivery.DeliveryRequested(
            delivery_id="dlv_1", webhook_id="whk_2", deployment_id="dep_1", kind="run.succeeded", at=AT, run_id="run_1"
        ),
        begun(1),
        delivery.AttemptEnded(
            delivery_id="dlv_1", number=1, succeeded=False, duration_ms=9, error="no answer", retry_at=AT
        ),
        begun(2),
        delivery.AttemptEnded(
            delivery_id="dlv_1", number=2, succeeded=True, duration_ms=8, status_code=200, response="ok"
        ),
        delivery.DeliveryRequeued(delivery_id="dlv_1", at=AT),
        begun(3),
    ]
