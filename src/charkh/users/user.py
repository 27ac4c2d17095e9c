"""The noun: what a user is, what its events say, and how its name is written.

Pure data, no I/O. No event holds a secret: a token is its SHA-256, and what a provider says about somebody is the
pair of issuer and subject.
"""

import re
import unicodedata
from typing import Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.redact import redact
from charkh.users.caller import Grant, Role

MADE_KIND = "user.made/1"
DISABLED_KIND = "user.disabled/1"
GRANTED_KIND = "user.granted/1"
TOKEN_MADE_KIND = "user.token_made/1"  # noqa: S105 (the name of a kind)
TOKEN_REVOKED_KIND = "user.token_revoked/1"  # noqa: S105 (the name of a kind)
SIGNED_IN_KIND = "user.signed_in/1"
DENIED_KIND = "user.denied/1"

MAX_NAME = 100
MAX_LABEL = 100
MAX_REASON = 500

Sort = Literal["person", "service"]
SORTS: tuple[Sort, ...] = ("person", "service")

_NAME = re.compile(r"[^\W_][\w.@+-]*")


class UserMade(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `user.made/1`.

    Attributes:
        user: id, which is the subject's id.
        name: as it stands in the facts that the user records.
        sort: a person, or a service account.
        issuer: of the OpenID provider that knows the user, or empty.
        external: what the provider calls it (`sub`), or empty.
    """

    user: str
    name: str
    sort: Sort = "person"
    issuer: str = ""
    external: str = ""


class UserDisabled(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `user.disabled/1`: from now on the user may do nothing, or may again."""

    user: str
    disabled: bool = True
    reason: str = ""


class UserGranted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `user.granted/1`: the role of a user over a scope from now on; empty for none."""

    user: str
    scope: str
    role: Role | Literal[""]
    reason: str = ""


class TokenMade(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `user.token_made/1`.

    Attributes:
        token: its id, which stands in the token itself.
        user: id of whose it is.
        digest: SHA-256 of the whole token, hex. It has 256 random bits, so there is nothing to guess.
        label: what it is for.
        limits: what it may do of what its user may; None for all of it.
        expires: seconds since the epoch; 0 for never.
        grants: what it may do beside what its user may, as an OpenID provider vouched when it was made.
    """

    token: str
    user: str
    digest: str
    label: str = ""
    limits: tuple[Grant, ...] | None = None
    expires: float = 0.0
    grants: tuple[Grant, ...] = ()


class TokenRevoked(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `user.token_revoked/1`: a token, or a browser's session, is worth nothing any more, for good."""

    token: str
    user: str
    reason: str = ""


class UserSignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `user.signed_in/1`: somebody opened a session in a browser.

    Attributes:
        user: id; empty for the owner's token.
        how: `link` for a token in a link, `oidc` for a provider.
        address: where from.
    """

    user: str
    how: str
    address: str = ""


class UserDenied(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `user.denied/1`: what was refused; of many alike, only their number.

    Attributes:
        user: id of who asked; empty for nobody that is known.
        what: method and path.
        reason: code of the refusal.
        address: where from.
        times: how many alike since the last such fact, this one included.
    """

    user: str
    what: str
    reason: str
    address: str = ""
    times: int = 1


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal as the catalog answers it; `at` is seconds since the epoch."""

    at: float
    denied: UserDenied


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token as the catalog answers it; the secret is nowhere."""

    id: str
    user: str
    digest: str
    label: str
    limits: tuple[Grant, ...] | None
    expires: float
    created: float
    revoked: float | None = None
    grants: tuple[Grant, ...] = ()

    def is_good(self, moment: float) -> bool:
        """Whether it counts at `moment`, seconds since the epoch."""
        return self.revoked is None and (not self.expires or moment < self.expires)


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the catalog answers it.

    Attributes:
        id: of the user.
        name: the first of several users of that name is the one that the name means.
        sort: a person, or a service account.
        disabled: it may do nothing.
        grants: its roles.
        tokens: every one that it has had, newest first.
        created: seconds since the epoch.
        made_by: who made it.
        issuer: of the provider that knows it, or empty.
        external: what the provider calls it, or empty.
    """

    id: str
    name: str
    sort: Sort
    disabled: bool
    grants: tuple[Grant, ...]
    tokens: tuple[Token, ...]
    created: float
    made_by: str
    issuer: str = ""
    external: str = ""


def parse_user_name(text: str) -> str:
    """A name for a user: letters, digits and `._@+-`, beginning with a letter or digit.

    Raises:
        Invalid: it is not; or it does not look the same when it is normalised.
    """
    name = unicodedata.normalize("NFC", text)
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME or unicodedata.normalize("NFKC", name) != name:
        raise Invalid(
            f"{text[:MAX_NAME]!r} is no name for a user",
            code="user.bad_name",
            hint="Use letters, digits and . _ @ + -, beginning with a letter or digit, at most 100.",
        )
    return name


def folded_name(name: str) -> str:
    """What two names have in common that a person could take for each other."""
    return unicodedata.normalize("NFKC", name).casefold()


def bounded_text(text: str, most: int = MAX_REASON) -> str:
    """A reason or a label that may stand in an event.

    Raises:
        Invalid: it is longer than `most`.
    """
    said = redact(text.strip())
    if len(said) > most:
        raise Invalid(f"{len(said)} characters are more than {most}", code="user.too_long", hint="Say it in fewer.")
    return said
