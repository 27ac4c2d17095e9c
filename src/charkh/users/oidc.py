"""OpenID Connect: discovery, keys, identity tokens, and the code flow with PKCE. Calls go through one egress door.

OpenID Connect Core 1.0 and Discovery 1.0; RFC 6749, 7636 (PKCE), 7517 (JWK), 7519 (JWT), 8725 (best practice). Only
signatures by asymmetric keys of the configured algorithms are believed, never a key that a token brings along.
"""

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode

import msgspec

from charkh.core.config import OidcSettings
from charkh.core.errors import Invalid, Unauthenticated, Unavailable
from charkh.ports.egress import Call, Egress

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
MAX_TOKEN = 16 * 1024
MAX_ANSWER = 256 * 1024
MAX_KEYS = 100
LEEWAY = 60
KEYS_LAST = 3600.0
FETCH_EVERY = 60.0
"""Seconds between two fetches of keys at least: an unknown key id is looked for once a minute at most."""


class Identity(NamedTuple):
    """Who somebody is, as the provider vouches."""

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...]
    expires: float


class Provider:
    """The provider that the operator has named.

    Args:
        settings: `[oidc]`.
        egress: lets the issuer's host be called, and no other.
        secret: the client's at the provider; empty for a public client.

    Raises:
        Invalid: the settings name no client, or algorithms that are not believed; the extra is not installed.
    """

    def __init__(self, settings: OidcSettings, egress: Egress, secret: str = "") -> None:
        self.settings = settings
        self._egress = egress
        self._secret = secret
        self._jwt = _library()
        self._lock = threading.Lock()
        self._said: Mapping[str, Any] = {}
        self._keys: Mapping[str, Any] = {}
        self._fetched = -FETCH_EVERY
        if not settings.client:
            raise Invalid("[oidc] has no client", code="config.invalid", hint="Write the client id of this server.")
        if not settings.algorithms or set(settings.algorithms) - ALGORITHMS:
            raise Invalid(
                f"[oidc] algorithms are {', '.join(settings.algorithms) or 'none'}",
                code="config.invalid",
                hint=f"Choose among {', '.join(sorted(ALGORITHMS))}.",
            )

    def prepare(self, token: str) -> None:
        """Fetch the keys where the one that signed this token is not known; may wait for the network, at most once a
        minute.
        """
        header = self._header(token)
        age = time.monotonic() - self._fetched
        if header is not None and (self._key(header) is None or age > KEYS_LAST):
            with self._lock:
                if time.monotonic() - self._fetched >= FETCH_EVERY:
                    self._fetch()

    def identify(self, token: str, *, audience: str = "", nonce: str | None = None) -> Identity | None:
        """Who this token is from; None for what is no good token of the provider's. Calls nobody.

        Args:
            token: a signed JWT.
            audience: whom it must be made for; the settings' by default.
            nonce: that it must carry; None where none was sent.
        """
        header = self._header(token)
        key = self._key(header) if header is not None else None
        if header is None or key is None:
            return None
        wanted = audience or self.settings.audience or self.settings.client
        try:
            claims: dict[str, Any] = self._jwt.decode(
                token,
                key=key,
                algorithms=[header["alg"]],
                audience=wanted,
                issuer=self.settings.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "iss", "aud", "sub"], "strict_aud": False},
            )
        except (self._jwt.PyJWTError, ValueError, TypeError):
            return None
        return self._identity(claims, wanted, nonce)

    def authorization(self, redirect: str, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to sign in.

        Raises:
            Unavailable: the provider does not answer, or its answer is not its own.
        """
        asked = {
            "response_type": "code",
            "client_id": self.settings.client,
            "redirect_uri": redirect,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        return f"{self._endpoint('authorization_endpoint')}?{urlencode(asked)}"

    def redeem(self, code: str, redirect: str, nonce: str, verifier: str) -> Identity:
        """Who signed in, for the code that the browser brought back.

        Raises:
            Unauthenticated: the provider does not know the code, or vouches for nobody by it.
            Unavailable: it does not answer.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "client_id": self.settings.client,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self._secret:
            pair = f"{self.settings.client}:{self._secret}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        url = self._endpoint("token_endpoint")
        answer = self._egress.call(Call("POST", url, headers, urlencode(form).encode(), MAX_ANSWER))
        said = _object(answer.body)
        token = said.get("id_token") if answer.status == 200 else None
        if isinstance(token, str):
            self.prepare(token)
            identity = self.identify(token, audience=self.settings.client, nonce=nonce)
            if identity is not None:
                return identity
        why = str(said.get("error", ""))[:60] if answer.status != 200 else ""
        raise Unauthenticated(
            f"the provider vouches for nobody by this code{f': {why}' if why else ''}",
            hint="Sign in again; at invalid_client, compare [oidc] client and secret_env with the provider's.",
        )

    def _header(self, token: str) -> dict[str, Any] | None:
        """The header of what could be a token of the provider's."""
        if len(token) > MAX_TOKEN or token.count(".") != 2:
            return None
        try:
            header: dict[str, Any] = self._jwt.get_unverified_header(token)
        except (self._jwt.PyJWTError, ValueError, TypeError):
            return None
        believed = header.get("alg") in self.settings.algorithms and isinstance(header.get("kid", ""), str)
        return header if believed and "crit" not in header else None

    def _key(self, header: Mapping[str, Any]) -> Any:
        """The key that signed; without an id, the only one that there is. None where it is not known."""
        if "kid" not in header and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(str(header.get("kid", "")))

    def _identity(self, claims: Mapping[str, Any], audience: str, nonce: str | None) -> Identity | None:
        subject = claims.get("sub")
        for_others = isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1
        if not isinstance(subject, str) or not subject or (for_others and claims.get("azp") not in {None, audience}):
            return None
        if nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            return None
        name = claims.get(self.settings.claim)
        if self.settings.claim == "email" and claims.get("email_verified") is False:
            name = None  # An address that nobody has confirmed is anybody's.
        groups: object = claims.get(self.settings.groups, ())
        several = cast("list[object]", groups) if isinstance(groups, list) else [groups]
        return Identity(
            issuer=self.settings.issuer,
            subject=subject,
            name=name if isinstance(name, str) else "",
            groups=tuple(each for each in several if isinstance(each, str)),
            expires=float(claims["exp"]),
        )

    def _endpoint(self, name: str) -> str:
        if name not in self._said:
            with self._lock:
                self._discover()
        found = self._said.get(name)
        if not isinstance(found, str):
            raise _not_its_own(f"no {name}")
        self._egress.check(found)
        return found

    def _discover(self) -> None:
        said = self._get(f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration")
        if said.get("issuer") != self.settings.issuer:
            raise _not_its_own("another issuer")
        self._said = said

    def _fetch(self) -> None:
        self._fetched = time.monotonic()
        if "jwks_uri" not in self._said:
            self._discover()
        found: object = self._get(str(self._said.get("jwks_uri", ""))).get("keys", ())
        keys: dict[str, Any] = {}
        for each in cast("list[object]", found)[:MAX_KEYS] if isinstance(found, list) else ():
            described = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
            # A secret in a public list would be a key that everybody signs with.
            if described.get("kty") == "oct" or described.get("use", "sig") != "sig":
                continue
            try:
                keys[str(described.get("kid", ""))] = self._jwt.PyJWK.from_dict(described)
            except (self._jwt.PyJWTError, ValueError, TypeError):
                continue
        self._keys = keys

    def _get(self, url: str) -> Mapping[str, Any]:
        answer = self._egress.call(Call("GET", url, {"Accept": "application/json"}, b"", MAX_ANSWER))
        if answer.status != 200:
            raise _not_its_own(f"status {answer.status}")
        return _object(answer.body)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _not_its_own("no JSON") from error
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _not_its_own(what: str) -> Unavailable:
    return Unavailable(
        f"the OpenID provider answers with {what}",
        code="oidc.provider",
        hint="Compare [oidc] issuer with what the provider's discovery document says.",
    )


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _library() -> Any:
    try:
        # An extra: only a server that an OpenID provider vouches for needs it.
        import jwt
    except ImportError as error:
        raise Invalid(
            "signing in at an OpenID provider needs another library",
            code="oidc.missing",
            hint="Install it with: pip install 'charkh[oidc]'",
        ) from error
    return jwt
