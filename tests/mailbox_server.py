"""A real mail server on loopback (aiosmtpd, in an environment of its own) that keeps what it took in a folder."""

import contextlib
import email
import email.policy
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple, cast

from peers import peer_program

SERVER = """
import asyncio, pathlib, ssl, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

folder, certificate, key, mode, password = sys.argv[1:]

class Handler:
    count = 0
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        if address.startswith("later@"):
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        Handler.count += 1
        encrypted = server.transport.get_extra_info("sslcontext") is not None
        said = f"X-Envelope: {envelope.mail_from} {','.join(envelope.rcpt_tos)} {encrypted}\\r\\n".encode()
        (pathlib.Path(folder) / f"{Handler.count}.eml").write_bytes(said + envelope.content)
        return "250 taken"

def allowed(server, session, envelope, mechanism, data):
    return AuthResult(success=data.password.decode() == password, handled=False)

tls = None
if certificate:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
words = {"ssl_context": tls} if mode == "tls" else {"tls_context": tls} if tls else {}
if password:
    words |= {"authenticator": allowed, "auth_required": True, "auth_require_tls": True}
controller = Controller(Handler(), hostname="127.0.0.1", port=0, **words)
factory = controller.factory
loop = asyncio.new_event_loop()
server = loop.run_until_complete(loop.create_server(factory, "127.0.0.1", 0, ssl=tls if mode == "tls" else None))
print(server.sockets[0].getsockname()[1], flush=True)
loop.run_forever()
"""


class Mailbox(NamedTuple):
    """A server that is up, and where it keeps what came."""

    port: int
    folder: Path

    def messages(self) -> list[EmailMessage]:
        """What came, in order."""
        files = sorted(self.folder.glob("*.eml"), key=lambda path: int(path.stem))
        return [
            cast(EmailMessage, email.message_from_bytes(path.read_bytes(), policy=email.policy.SMTP)) for path in files
        ]


class Certificate(NamedTuple):
    """A self-signed certificate for `localhost`, and its key."""

    chain: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """A certificate that is trusted by whoever names it."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(chain)]
    subprocess.run([*words, *more], check=True, capture_output=True)
    return Certificate(chain, key)


@contextlib.contextmanager
def mail_server(
    folder: Path, certificate: Certificate | None = None, *, mode: str = "starttls", password: str = ""
) -> Iterator[Mailbox]:
    """A mail server during the block.

    Args:
        folder: an empty one.
        certificate: for TLS; without one nothing is encrypted.
        mode: `starttls`, or `tls` from the first byte.
        password: that every user has to show.
    """
    chain, key = ("", "") if certificate is None else (str(certificate.chain), str(certificate.key))
    command = [str(peer_program("smtp", "python")), "-c", SERVER, str(folder), chain, key, mode, password]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Mailbox(int(process.stdout.readline()), folder)
        finally:
            process.kill()
