"""What a delivery's headers say, and how they prove where it comes from.

Two schemes beside each other. Standard Webhooks: `webhook-signature` is one or more of `v1,` and the base64 of an
HMAC-SHA256 of `<id>.<timestamp>.<body>` under the bytes that the secret's base64 stands for. Ours:
`X-Crewship-Signature` is the hex of an HMAC-SHA256 of `<timestamp>.<body>` under the secret's text, `whsec_` included.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime

PREFIX = "whsec_"


def headers(secrets: Sequence[str], delivery_id: str, kind: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of one attempt, signed under each of the secrets, of which the first is the newest."""
    timestamp = str(int(at.timestamp()))
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    ours = hmac.new(secrets[0].encode(), f"{timestamp}.".encode() + body, "sha256").hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Crewship-Webhooks",
        "Accept-Encoding": "identity",
        "X-Crewship-Event": kind,
        "X-Crewship-Delivery": delivery_id,
        "X-Crewship-Timestamp": timestamp,
        "X-Crewship-Signature": ours,
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_standard(secret, signed)}" for secret in secrets),
    }


def _standard(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
