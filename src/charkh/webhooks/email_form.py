"""E-mail: a fact as a short plain message (RFC 5322); sender and recipients stand in the webhook's address.

The same bytes at every attempt, and a Message-ID that is the fact's, so that a mailbox knows what it has.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from charkh.core.clock import seconds
from charkh.core.events import Event
from charkh.webhooks.letter import Letter, Told, sample_event
from charkh.webhooks.match import is_named, word_of
from charkh.webhooks.webhook import Webhook

FIELDS = (
    *("severity", "monitor", "endpoint", "loop", "model", "alias", "status", "outcome", "condition", "reason"),
    *("message", "error", "owner", "runbook"),
)
"""What is told of a fact's body, in this order, where it says something."""
MAX_SUBJECT = 150
PASSWORD = "password"  # noqa: S105 (the name of a header)


class Email:
    """Messages for a mailbox.

    Args:
        source: the workspace, such as `charkh://ID`; stands below each message.
    """

    def __init__(self, source: str) -> None:
        self._source = source

    def wants(self, webhook: Webhook, kind: str) -> bool:
        """See `charkh.webhooks.letter.Form`."""
        return is_named(kind, webhook.terms.events)

    def letters(self, webhook: Webhook, told: Told) -> Sequence[Letter]:
        """See `charkh.webhooks.letter.Form`."""
        if not told.passes(webhook):
            return ()
        body = told.body
        short = str(body.get("condition") or body.get("reason") or body.get("status") or "")
        lines = [f"{field}: {body[field]}" for field in FIELDS if body.get(field)]
        return (self._letter(told.event, f"{told.title()}: {short}" if short else told.title(), lines),)

    def sample(self, webhook: Webhook, event: str) -> Letter:
        """See `charkh.webhooks.letter.Form`."""
        made = sample_event(webhook, event)
        return self._letter(made, f"a test of the webhook {webhook.name}", ["Nothing happened."])

    def headers(self, secret: str, message: str, moment: int, body: bytes) -> Mapping[str, str]:  # noqa: ARG002
        """See `charkh.webhooks.letter.Form`; the secret is the password of the mail server."""
        return {PASSWORD: secret}

    def _letter(self, event: Event, subject: str, lines: Sequence[str]) -> Letter:
        message = EmailMessage(policy=SMTP)
        at = datetime.fromtimestamp(seconds(event.clock), UTC)
        plain = " ".join(f"[{word_of(event.kind)}] {subject}".split())
        message["Subject"] = plain[:MAX_SUBJECT]
        message["Date"] = format_datetime(at)
        message["Message-ID"] = f"<{event.id}@charkh>"
        # Vacation responders leave such messages alone (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        text = [*lines, "", f"{event.subject} by {event.actor} at {at:%Y-%m-%d %H:%M:%S} UTC", self._source]
        message.set_content("\n".join(text) + "\n", cte="base64")
        return Letter(event.id, event.id, event.kind, event.subject, "message/rfc822", bytes(message))
