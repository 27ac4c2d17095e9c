"""Egress by e-mail: a message handed to a mail server that the operator listed, over TLS (RFC 5321, 3207, 8314).

An address is `smtps://host/?from=…&to=…` (TLS from the first byte, port 465) or `smtp://host/?…` (STARTTLS, port 587).
`to` may name several, with commas; `user` signs in, with the password that stands in the call's headers.
"""

import email
import email.policy
import smtplib
import socket
import ssl
import time
from email.message import EmailMessage
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from charkh.core.errors import Invalid
from charkh.ports.egress import Answer, Call
from charkh.stores.egress_rules import Allowed, Resolver, Scheme, Target, judged, pinned, resolve, said, unreachable

SCHEMES = {"smtps": Scheme(True, 465), "smtp": Scheme(False, 587)}
SECONDS = 30.0
PASSWORD = "password"  # noqa: S105 (the name of a header)
"""The header of a call that holds the password of `user`."""
MOST_RECIPIENTS = 20


class _Envelope(NamedTuple):
    sender: str
    recipients: tuple[str, ...]
    user: str


class SmtpEgress:
    """See `charkh.ports.egress.Egress`; the status of an answer is that of SMTP, 250 where the message was taken.

    Unencrypted only to a host of the operator's own network that offers no STARTTLS, and never with a password.

    Args:
        allowed: by the operator.
        seconds: for each step of the conversation.
        resolver: of names.
        context: what a certificate has to satisfy; the system's authorities by default.
    """

    def __init__(
        self,
        allowed: Allowed,
        *,
        seconds: float = SECONDS,
        resolver: Resolver = resolve,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._resolver = resolver
        self._context = context

    def check(self, url: str) -> None:
        """See `charkh.ports.egress.Egress`."""
        judged(url, self._allowed, SCHEMES)
        _envelope(url)

    def call(self, call: Call) -> Answer:
        """See `charkh.ports.egress.Egress`; the body is a message without sender and recipients, which are added."""
        target, envelope = judged(call.url, self._allowed, SCHEMES), _envelope(call.url)
        message = _addressed(call.body, envelope)
        address = pinned(target, self._resolver)
        began = time.monotonic()
        try:
            with self._connected(target, address) as server:
                self._secured(server, target, needs_it=bool(envelope.user))
                if envelope.user:
                    server.login(envelope.user, call.headers.get(PASSWORD, ""))
                server.send_message(message, envelope.sender, envelope.recipients)
        except smtplib.SMTPRecipientsRefused as error:
            return Answer(max(code for code, _ in error.recipients.values()), time.monotonic() - began)
        except smtplib.SMTPResponseException as error:
            return Answer(error.smtp_code, time.monotonic() - began)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise unreachable(target.host, said(error)) from error
        return Answer(250, time.monotonic() - began)

    def _connected(self, target: Target, address: str) -> smtplib.SMTP:
        # The certificate has to be that of the host, and nothing is resolved again.
        server = _Pinned(target, address, self._seconds, self._tls() if target.secure else None)
        server.connect(target.host, target.port)
        return server

    def _secured(self, server: smtplib.SMTP, target: Target, *, needs_it: bool) -> None:
        server.ehlo()
        if target.secure:
            return
        if server.has_extn("starttls"):
            server.starttls(context=self._tls())
            server.ehlo()
        elif not target.private or needs_it:
            raise smtplib.SMTPException("it offers no encryption (STARTTLS)")

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context


class _Pinned(smtplib.SMTP):
    """A conversation with one address under the name of a host."""

    def __init__(self, target: Target, address: str, seconds: float, tls: ssl.SSLContext | None) -> None:
        self._pinned_address = address
        self._tls_context = tls
        self._host_name = target.host
        super().__init__(timeout=seconds, local_hostname="charkh")
        # What STARTTLS compares the certificate with.
        self._host = target.host

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - it is pinned
        raw = socket.create_connection((self._pinned_address, port), timeout)
        return raw if self._tls_context is None else self._tls_context.wrap_socket(raw, server_hostname=self._host_name)


def _envelope(url: str) -> _Envelope:
    asked = parse_qs(urlsplit(url).query)
    sender, recipients, user = (",".join(asked.pop(name, [])) for name in ("from", "to", "user"))
    to = tuple(each.strip() for each in recipients.split(",") if each.strip())
    if asked:
        raise _bad(f"it has {sorted(asked)[0]!r}")
    if not to or len(to) > MOST_RECIPIENTS:
        raise _bad(f"it names {len(to)} recipients; 1 to {MOST_RECIPIENTS} can be told")
    for each in (sender, *to):
        name, at, domain = each.partition("@")
        if not (name and at and domain) or not each.isprintable() or any(letter in each for letter in ' <>,;"\\'):
            raise _bad(f"{each[:80]!r} is no address of a mailbox")
    return _Envelope(sender, to, user)


def _addressed(body: bytes, envelope: _Envelope) -> EmailMessage:
    message = email.message_from_bytes(body, policy=email.policy.SMTP)
    for name, value in (("From", envelope.sender), ("To", ", ".join(envelope.recipients))):
        del message[name]
        message[name] = value
    return message


def _bad(why: str) -> Invalid:
    return Invalid(
        f"that is no address of a mail server: {why}",
        code="egress.url",
        hint="Write smtps://host/?from=charkh@example.com&to=you@example.com, and user=… to sign in.",
    )
