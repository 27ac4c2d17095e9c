"""E-mail goes to servers that the operator listed, encrypted, under the envelope of the address and nobody else's."""

import ssl
from pathlib import Path

import pytest

from charkh.core.errors import CharkhError, Denied, Invalid, Unavailable
from charkh.ports.egress import Call
from charkh.stores.egress_rules import Allowed
from charkh.stores.egress_schemes import EgressByScheme
from charkh.stores.egress_smtp import SmtpEgress
from mailbox_server import Certificate, mail_server, make_certificate

MESSAGE = b"Subject: drift\r\nBcc: spy@example.com\r\n\r\npsi is 0.4\r\n"
pytestmark = pytest.mark.needs("peer:smtp")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def door(certificate: Certificate | None = None) -> SmtpEgress:
    context = None if certificate is None else ssl.create_default_context(cafile=str(certificate.chain))
    return SmtpEgress(
        Allowed(private=("localhost",)), seconds=5.0, context=context, resolver=lambda _host, _port: ("127.0.0.1",)
    )


def address(
    port: int, rest: str = "from=charkh@example.com&to=ann@example.com,bob@example.com", scheme: str = "smtp"
) -> str:
    return f"{scheme}://localhost:{port}/?{rest}"


@pytest.mark.parametrize("mode", ["starttls", "tls"])
def test_a_message_arrives_encrypted_for_those_in_the_address(
    tmp_path: Path, certificate: Certificate, mode: str
) -> None:
    with mail_server(tmp_path, certificate, mode=mode) as server:
        url = address(server.port, scheme="smtps" if mode == "tls" else "smtp")
        assert door(certificate).call(Call("POST", url, body=MESSAGE)).status == 250
        (came,) = server.messages()
    assert came["X-Envelope"] == "charkh@example.com ann@example.com,bob@example.com True"
    assert (came["From"], came["To"], came["Subject"]) == (
        "charkh@example.com",
        "ann@example.com, bob@example.com",
        "drift",
    )
    assert came.get_content().strip() == "psi is 0.4"


def test_a_certificate_that_nobody_knows_ends_it(tmp_path: Path, certificate: Certificate) -> None:
    with mail_server(tmp_path, certificate) as server, pytest.raises(Unavailable, match="localhost cannot be reached"):
        door().call(Call("POST", address(server.port), body=MESSAGE))
    assert not list(tmp_path.iterdir())


def test_a_password_is_shown_on_an_encrypted_line_alone(tmp_path: Path, certificate: Certificate) -> None:
    signed_in = "from=charkh@example.com&to=ann@example.com&user=bot"
    with mail_server(tmp_path, certificate, password="right") as server:
        url = address(server.port, signed_in)
        assert door(certificate).call(Call("POST", url, {"password": "wrong"}, MESSAGE)).status == 535
        assert door(certificate).call(Call("POST", url, {"password": "right"}, MESSAGE)).status == 250
        assert len(server.messages()) == 1
    (tmp_path / "plain").mkdir()
    with mail_server(tmp_path / "plain") as server:
        with pytest.raises(Unavailable, match="no encryption"):
            door().call(Call("POST", address(server.port, signed_in), {"password": "right"}, MESSAGE))
        assert door().call(Call("POST", address(server.port), body=MESSAGE)).status == 250


@pytest.mark.parametrize(("to", "status"), [("nobody@example.com", 550), ("later@example.com", 451)])
def test_a_refusal_is_its_status(tmp_path: Path, to: str, status: int) -> None:
    with mail_server(tmp_path) as server:
        url = address(server.port, f"from=charkh@example.com&to={to}")
        assert door().call(Call("POST", url, body=MESSAGE)).status == status


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("smtp://localhost:25/", Invalid, "0 recipients"),
        ("smtp://localhost/?from=a@b.c&to=", Invalid, "0 recipients"),
        ("smtp://localhost/?from=a@b.c&to=x@y.z&subject=hi", Invalid, "'subject'"),
        ("smtp://localhost/?from=a@b.c&to=x@y.z%0d%0aRCPT", Invalid, "no address of a mailbox"),
        ("smtp://localhost/?from=a@b.c%3e&to=x@y.z", Invalid, "no address of a mailbox"),
        ("smtp://localhost/?from=a&to=x@y.z", Invalid, "no address of a mailbox"),
        ("smtp://localhost/?from=a@b.c&to=" + ",".join(["x@y.z"] * 21), Invalid, "21 recipients"),
        ("smtp://bot:secret@localhost/?from=a@b.c&to=x@y.z", Invalid, "carries a user"),
        ("https://localhost/?from=a@b.c&to=x@y.z", Invalid, "does not begin with smtps://"),
        ("smtp://mail.example.com/?from=a@b.c&to=x@y.z", Denied, "may not be called"),
    ],
)
def test_what_is_no_mailbox_that_may_be_written_to_is_refused(url: str, error: type[CharkhError], said: str) -> None:
    with pytest.raises(error, match=said):
        door().check(url)


def test_each_scheme_has_its_own_door() -> None:
    every = EgressByScheme({"smtp": door(), "smtps": door()})
    every.check("SMTP://localhost/?from=a@b.c&to=x@y.z")
    with pytest.raises(Invalid, match="smtp://, smtps://"):
        every.check("ftp://localhost/")
