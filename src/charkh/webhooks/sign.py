"""Signatures by which a receiver knows who sent: Standard Webhooks (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping

from charkh.webhooks.secrets import key_of


def signature(secret: str, message: str, moment: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `ID.SECONDS.BODY`."""
    signed = f"{message}.{moment}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def standard_headers(secret: str, message: str, moment: int, body: bytes) -> Mapping[str, str]:
    """The three headers; without a secret, the signature is missing.

    Args:
        secret: of the webhook, or empty.
        message: id of what is sent, the same at every attempt.
        moment: seconds since the epoch of this attempt.
        body: exactly as it is sent.
    """
    headers = {"webhook-id": message, "webhook-timestamp": str(moment)}
    return {**headers, "webhook-signature": signature(secret, message, moment, body)} if secret else headers
