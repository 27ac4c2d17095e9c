"""Identity tokens of a provider over real HTTP: what is believed, and every known way of forging what is not."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from charkh.core.config import OidcSettings
from charkh.core.errors import Invalid, Unauthenticated, Unavailable
from charkh.ports.store import Store
from charkh.stores.egress_http import HttpEgress
from charkh.stores.egress_rules import Allowed
from charkh.users import oidc
from charkh.users.find import list_users
from charkh.users.gatekeeper import Gatekeeper
from charkh.users.make import grant, make_user, set_disabled
from charkh.users.oidc import Provider
from charkh.users.vouched import Vouching

CLIENT = "charkh-server"
FIRST, SECOND = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
CURVE = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """An OpenID provider over HTTP.

    Attributes:
        address: which is its issuer.
        keys: public keys by id.
        fetched: how often they were asked for.
        codes: by code, the claims that it stands for.
        forms: what was sent to the token endpoint.
    """

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"one": FIRST}
        self.extra: list[dict[str, Any]] = []
        self.fetched = 0
        self.codes: dict[str, dict[str, Any]] = {}
        self.forms: list[dict[str, list[str]]] = []
        self.said: dict[str, Any] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(issuer.answer(urlsplit(self.path).path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self._send(issuer.redeem(parse_qs(body.decode())))

            def _send(self, found: Any) -> None:
                body = json.dumps(found).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.address,
                "jwks_uri": f"{self.address}/keys",
                "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token",
                **self.said,
            }
        if path == "/keys":
            self.fetched += 1
            return {"keys": [*(public(key, name) for name, key in self.keys.items()), *self.extra]}
        return None

    def redeem(self, form: dict[str, list[str]]) -> Any:
        self.forms.append(form)
        claims = self.codes.pop(form.get("code", [""])[0], None)
        return None if claims is None else {"id_token": self.token(**claims)}

    def token(self, *, key: Any = FIRST, kid: str | None = "one", alg: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        said = {
            "iss": self.address,
            "aud": CLIENT,
            "sub": "ann-1",
            "email": "ann@example.org",
            "groups": ["data"],
            "iat": now,
            "exp": now + 300,
            **claims,
        }
        headers = {} if kid is None else {"kid": kid}
        return jwt.encode({name: value for name, value in said.items() if value is not None}, key, alg, headers=headers)


def public(key: Any, name: str) -> dict[str, Any]:
    described: Any = RSAAlgorithm.to_jwk if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm.to_jwk
    return {**json.loads(described(key.public_key())), "kid": name, "use": "sig"}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


def provider_of(issuer: Issuer, secret: str = "", **more: Any) -> Provider:
    settings = OidcSettings(
        issuer=issuer.address, client=CLIENT, grants={"*": ("reader:public/",), "data": ("writer:flights/",)}, **more
    )
    return Provider(settings, HttpEgress(Allowed(private=(urlsplit(issuer.address).netloc,))), secret)


def believed(provider: Provider, token: str) -> bool:
    provider.prepare(token)
    return provider.identify(token) is not None


def test_a_good_token_says_who_it_is(issuer: Issuer) -> None:
    provider = provider_of(issuer)
    token = issuer.token()
    assert provider.identify(token) is None, "before the keys are known nobody is believed"
    provider.prepare(token)
    identity = provider.identify(token)
    assert identity is not None
    assert (identity.subject, identity.name, identity.groups) == ("ann-1", "ann@example.org", ("data",))
    assert believed(provider, issuer.token(kid=None)), "of one key no id is needed"
    assert issuer.fetched == 1


def test_what_is_forged_is_not_believed(issuer: Issuer) -> None:
    provider = provider_of(issuer)
    now = int(time.time())
    good = issuer.token()
    provider.prepare(good)
    head, body, signature = good.split(".")
    pem = FIRST.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    def signed_with_the_public_key() -> str:
        import hashlib
        import hmac

        text = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{body}"
        mac = hmac.new(pem, text.encode(), hashlib.sha256).digest()
        return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    forged = {
        "another key": issuer.token(key=SECOND),
        "a key that it brings along": jwt.encode(
            {"iss": issuer.address, "aud": CLIENT, "sub": "x", "iat": now, "exp": now + 60},
            SECOND,
            "RS256",
            headers={"kid": "one", "jwk": public(SECOND, "one"), "jku": "http://evil.test/keys"},
        ),
        "no signature": f"{encoded({'alg': 'none', 'kid': 'one'})}.{body}.",
        "no algorithm with a signature": f"{encoded({'alg': 'none', 'kid': 'one'})}.{body}.{signature}",
        "the public key as a secret": signed_with_the_public_key(),
        "another issuer": issuer.token(iss="http://evil.test"),
        "an issuer with a slash": issuer.token(iss=f"{issuer.address}/"),
        "for somebody else": issuer.token(aud="another"),
        "for several, asked by another": issuer.token(aud=[CLIENT, "another"], azp="another"),
        "expired": issuer.token(exp=now - 120, iat=now - 600),
        "not yet": issuer.token(nbf=now + 600),
        "made tomorrow": issuer.token(iat=now + 86400),
        "without an end": issuer.token(exp=None),
        "without an audience": issuer.token(aud=None),
        "without a subject": issuer.token(sub=None),
        "an empty subject": issuer.token(sub=""),
        "a path as the key's id": issuer.token(kid="../../etc/passwd"),
        "an algorithm that is not configured": issuer.token(alg="RS512"),
        "a curve under another key's id": issuer.token(key=CURVE, alg="ES256"),
        "what must be understood and is not": jwt.encode(
            {"iss": issuer.address, "aud": CLIENT, "sub": "x", "iat": now, "exp": now + 60},
            FIRST,
            "RS256",
            headers={"kid": "one", "crit": ["b64"], "b64": True},
        ),
        "changed": f"{head}.{encoded({'iss': issuer.address, 'aud': CLIENT, 'sub': 'x', 'exp': now + 60})}.{signature}",
        "too long": issuer.token(pad="x" * oidc.MAX_TOKEN),
        "encrypted": "a.b.c.d.e",
        "nothing": "..",
        "odd": "é.é.é",
    }
    assert [what for what, token in forged.items() if believed(provider, token)] == []
    assert believed(provider, good)


def test_keys_are_fetched_when_they_change_and_not_with_every_stranger(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = provider_of(issuer)
    assert believed(provider, issuer.token())
    for number in range(20):
        assert not believed(provider, issuer.token(kid=f"unknown-{number}"))
    assert issuer.fetched == 1, "once a minute at most"
    issuer.keys = {"two": SECOND, "curve": CURVE}
    issuer.extra = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
        {"kty": "nonsense"},
        {"kid": "half", "kty": "RSA"},
    ]
    monkeypatch.setattr(oidc, "FETCH_EVERY", 0.0)
    assert believed(provider, issuer.token(key=SECOND, kid="two"))
    assert believed(provider, issuer.token(key=CURVE, kid="curve", alg="ES256"))
    assert not believed(provider, issuer.token()), "a key that the provider has given up is believed no more"


def test_a_provider_that_is_another_or_nowhere_is_said(issuer: Issuer) -> None:
    issuer.said = {"issuer": "http://other.test"}
    with pytest.raises(Unavailable, match="another issuer"):
        provider_of(issuer).prepare(issuer.token())
    issuer.said = {"jwks_uri": "http://127.0.0.1:1/keys"}
    with pytest.raises(Exception, match="may not be called"):
        provider_of(issuer).prepare(issuer.token())
    with pytest.raises(Invalid):
        provider_of(issuer, algorithms=("HS256",))
    with pytest.raises(Invalid):
        provider_of(issuer, algorithms=())


def test_the_code_flow_proves_itself(issuer: Issuer) -> None:
    provider = provider_of(issuer, secret="the-secret-of-the-client")
    asked = parse_qs(urlsplit(provider.authorization("http://here/back", "s", "n", "v" * 43)).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["code_challenge"] != ["v" * 43]
    assert (asked["state"], asked["nonce"], asked["response_type"]) == (["s"], ["n"], ["code"])
    issuer.codes = {"good": {"nonce": "n"}, "replayed": {"nonce": "another"}, "for another": {"nonce": "n", "aud": "x"}}
    assert provider.redeem("good", "http://here/back", "n", "v" * 43).subject == "ann-1"
    assert issuer.forms[0]["code_verifier"] == ["v" * 43]
    for code in ("good", "replayed", "for another", "unknown"):
        with pytest.raises(Unauthenticated):
            provider.redeem(code, "http://here/back", "n", "v" * 43)


def test_whom_the_provider_vouches_for_is_a_user(store: Store, gatekeeper: Gatekeeper, issuer: Issuer) -> None:
    make_user(store, "ann@example.org")
    gatekeeper.vouching = Vouching(store, provider_of(issuer))
    header = f"Bearer {issuer.token()}"
    with pytest.raises(Unauthenticated):
        gatekeeper.admit(header, "reader")
    assert gatekeeper.must_prepare(header)
    gatekeeper.prepare(header)
    caller = gatekeeper.admit(header, "writer", "flights/delay")
    assert caller.name.startswith("ann@example.org-"), "a name that somebody has is not given away"
    assert caller.may("reader", "project", "public")
    assert not caller.may_somewhere("admin")
    grant(store, caller.user, "admin", "taxi")
    gatekeeper.forget()
    assert gatekeeper.admit(header, "admin", "taxi").user == caller.user
    unconfirmed = f"Bearer {issuer.token(sub='eve', email='boss@example.org', email_verified=False, groups=None)}"
    gatekeeper.prepare(unconfirmed)
    eve = gatekeeper.admit(unconfirmed, "reader")
    assert eve.name.startswith("user-")
    assert not eve.may_somewhere("writer")
    set_disabled(store, caller.user)
    gatekeeper.forget()
    with pytest.raises(Unauthenticated):
        gatekeeper.admit(header, "reader")
    assert len(list_users(store)) == 3


def test_a_session_of_the_provider_is_a_token_that_ends(store: Store, gatekeeper: Gatekeeper, issuer: Issuer) -> None:
    vouching = Vouching(store, provider_of(issuer))
    issuer.codes = {"good": {"nonce": "n"}}
    caller = vouching.sign_in(vouching.provider.redeem("good", "http://here/back", "n", "v" * 43))
    cookie = gatekeeper.session_of(caller)
    gatekeeper.forget()
    held = gatekeeper.holder_of_session(cookie)
    assert held is not None
    assert held.may("writer", "project", "flights")
    gatekeeper.end_session(cookie)
    assert gatekeeper.holder_of_session(cookie) is None
