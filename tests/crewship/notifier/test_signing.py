import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from crewship.notifier.signing import headers

ONE = "whsec_" + base64.b64encode(b"1" * 32).decode()
TWO = "whsec_" + base64.b64encode(b"2" * 32).decode()
BODY = '{"ü": 1}'.encode()


def signed(*secrets: str) -> dict[str, str]:
    return headers(secrets, "dlv_1", "run.failed", datetime.now(UTC), BODY)


def test_the_published_library_verifies_a_delivery_under_each_secret():
    assert Webhook(ONE).verify(BODY, signed(ONE)) == {"ü": 1}
    for secret in (ONE, TWO):
        Webhook(secret).verify(BODY, signed(ONE, TWO))


def test_the_published_library_refuses_what_was_changed_or_signed_by_others():
    with pytest.raises(WebhookVerificationError):
        Webhook(ONE).verify(BODY + b" ", signed(ONE))
    with pytest.raises(WebhookVerificationError):
        Webhook(TWO).verify(BODY, signed(ONE))
    with pytest.raises(WebhookVerificationError):
        Webhook(ONE).verify(BODY, {**signed(ONE), "webhook-id": "dlv_2"})


def test_our_own_signature_is_over_the_timestamp_and_the_body():
    sent = signed(ONE, TWO)
    message = sent["X-Crewship-Timestamp"].encode() + b"." + BODY
    assert sent["X-Crewship-Signature"] == hmac.new(ONE.encode(), message, hashlib.sha256).hexdigest()
