"""What people decide about a version's bytes: trust in its code, signatures, approvals. Pure data.

Trust and signatures are bound to the digest of the version's files and approvals to the version's content, never to
a name or an alias: other bytes under the same name need decisions of their own.
"""

from typing import Literal

import msgspec

from charkh.core.files import FileRef

TRUSTED_KIND = "model.trusted/1"
DISTRUSTED_KIND = "model.distrusted/1"
SIGNED_KIND = "model.signed/1"
APPROVED_KIND = "model.approved/1"

Answer = Literal["approved", "rejected", "withdrawn"]


class ModelTrusted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.trusted/1`: the code that these files bring may run, apart from everything else.

    Attributes:
        name: of the model.
        version: id of the version that was looked at.
        number: of that version.
        digest: root of the tree of its files, which is what is trusted.
        reason: why, in a sentence, without credentials.
        level: what loading them could do, as judged at the decision.
        reasons: why they count as code, as judged at the decision.
        expires: seconds since the epoch after which it counts no more; None for never.
        replaces: ids of the decisions about these bytes that this one saw and supersedes.
    """

    name: str
    version: str
    number: int
    digest: str
    reason: str
    level: str = "code"
    reasons: tuple[str, ...] = ()
    expires: float | None = None
    replaces: tuple[str, ...] = ()


class ModelDistrusted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.distrusted/1`: these files are not loaded any more, whatever they are.

    Attributes:
        name: of the model.
        version: id of the version that was looked at.
        number: of that version.
        digest: root of the tree of its files.
        reason: why, in a sentence, without credentials.
        replaces: ids of the decisions about these bytes that this one saw and supersedes.
    """

    name: str
    version: str
    number: int
    digest: str
    reason: str
    replaces: tuple[str, ...] = ()


class ModelSigned(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.signed/1`: a signature over the version's files in the form of OpenSSF Model Signing.

    Attributes:
        name: of the model.
        version: id of the version.
        number: of that version.
        digest: root of the tree of its files.
        bundle: the Sigstore bundle, as `model.sig` holds it.
        key: SHA-256 of the public key in PEM; empty for a keyless signature.
        identity: who signed without a key, as the certificate says; empty for a key.
        covered: SHA-256 over the digests of the files, in path order: what the signature's subject says.
    """

    name: str
    version: str
    number: int
    digest: str
    bundle: FileRef
    covered: str
    key: str = ""
    identity: str = ""


class ModelApproved(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.approved/1`: what one person says to a version's passing a gate; the last word counts.

    Attributes:
        name: of the model.
        version: id of the version.
        number: of that version.
        content: digest of everything said about the version, which is what is approved.
        gate: name of the gate.
        answer: `approved`, `rejected` or `withdrawn`.
        reason: why, in a sentence, without credentials.
    """

    name: str
    version: str
    number: int
    content: str
    gate: str
    answer: Answer
    reason: str = ""


class TrustDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about bytes, as the catalog answers it.

    Attributes:
        id: of the event.
        name: of the model that was looked at.
        version: id of that version.
        digest: root of the tree of its files.
        trusted: what was decided.
        reason: why.
        expires: seconds since the epoch, or None.
        current: no later decision replaces it.
        actor: who decided.
        at: seconds since the epoch.
    """

    id: str
    name: str
    version: str
    digest: str
    trusted: bool
    reason: str
    expires: float | None
    current: bool
    actor: str
    at: float


class SignatureMade(msgspec.Struct, frozen=True, kw_only=True):
    """A signature, as the catalog answers it: what its event says, who recorded it and when."""

    signed: ModelSigned
    actor: str
    at: float

    @property
    def name(self) -> str:
        """Of the model."""
        return self.signed.name


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What one person said last about a version and a gate, as the catalog answers it."""

    approved: ModelApproved
    actor: str
    at: float
    stamp: str

    @property
    def name(self) -> str:
        """Of the model."""
        return self.approved.name


def person_of(actor: str) -> str:
    """Who an actor is, wherever they sit: `ann` for `ann@laptop`.

    The names of a server's users may be addresses, and then two of them who differ only behind the `@` count as one:
    four eyes are asked for rather once too often.
    """
    return actor.partition("@")[0]
