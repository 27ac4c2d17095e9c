"""Trust the code in a version's files, or take the trust away; loading asks at every load."""

import time
from collections.abc import Collection

from charkh.core.errors import Denied, Invalid
from charkh.core.events import Draft
from charkh.models.find import find
from charkh.models.governance import (
    DISTRUSTED_KIND,
    TRUSTED_KIND,
    ModelDistrusted,
    ModelTrusted,
    TrustDecision,
    person_of,
)
from charkh.models.governance_index import TrustDecisions
from charkh.models.model import ModelVersion, bounded_reason
from charkh.ports.runtimes import Safety
from charkh.ports.store import Store


def trust(store: Store, ref: str, reason: str, *, safety: Safety | None = None, expires: float | None = None) -> str:
    """Let the code that a version's files bring run, in a process of its own; the digest that is trusted.

    Args:
        store: where the decision goes.
        ref: of the version.
        reason: why, in a sentence.
        safety: what loading could do, as judged now; what was recorded at the registration by default.
        expires: seconds since the epoch after which the decision counts no more; None for never.

    Raises:
        NotFound: there is no such version.
        Invalid: there is no reason, it expires in the past, or there are no files to trust.
    """
    version = _with_files(store, ref)
    judged = safety or version.made.safety
    if expires is not None and expires <= time.time():
        raise Invalid("the trust would have expired already", code="model.trust_expired", hint="Name a later time.")
    body = ModelTrusted(
        name=version.made.name,
        version=version.id,
        number=version.made.number,
        digest=version.made.tree.root,
        reason=_reason(reason),
        level=judged.level,
        reasons=judged.reasons,
        expires=expires,
        replaces=_seen(store, version),
    )
    store.record(Draft(kind=TRUSTED_KIND, subject=version.subject, body=body), durable=True)
    return body.digest


def distrust(store: Store, ref: str, reason: str) -> str:
    """Let nothing load a version's files any more, whatever they are; the digest that is distrusted.

    Raises:
        NotFound: there is no such version.
        Invalid: there is no reason, or there are no files.
    """
    version = _with_files(store, ref)
    body = ModelDistrusted(
        name=version.made.name,
        version=version.id,
        number=version.made.number,
        digest=version.made.tree.root,
        reason=_reason(reason),
        replaces=_seen(store, version),
    )
    store.record(Draft(kind=DISTRUSTED_KIND, subject=version.subject, body=body), durable=True)
    return body.digest


def standing(store: Store, digest: str) -> tuple[TrustDecision, ...]:
    """The decisions about these bytes that no later one replaces, newest first; several were made apart."""
    return tuple(each for each in store.queries.ask(TrustDecisions(digest=digest)) if each.current)


def is_trusted(store: Store, digest: str, *, trusters: Collection[str] = (), moment: float | None = None) -> bool:
    """Whether code with this digest may run now: every standing decision says so, and none has expired.

    Where one colleague trusted and another distrusted apart, it may not, until somebody decides again.

    Args:
        store: where the decisions are.
        digest: root of the tree of files.
        trusters: people whose trust counts, such as `ann`; everybody's with none. Distrust counts from everybody.
        moment: seconds since the epoch; now by default.
    """
    now = time.time() if moment is None else moment
    decisions = standing(store, digest)
    counted = [each for each in decisions if not each.trusted or _counts(each, trusters)]
    return bool(counted) and all(each.trusted and (each.expires is None or now < each.expires) for each in counted)


def refuse_distrusted(store: Store, version: ModelVersion) -> None:
    """Refuse a version whose bytes somebody distrusts.

    Raises:
        Denied: somebody does; the message says who and why.
    """
    bad = next((each for each in standing(store, version.made.tree.root) if not each.trusted), None)
    if bad is not None:
        raise Denied(
            f"{version.ref} is distrusted by {bad.actor}: {bad.reason}",
            code="model.distrusted",
            hint="Use another version; who knows better decides again with `charkh model trust`.",
        )


def _counts(decision: TrustDecision, trusters: Collection[str]) -> bool:
    return not trusters or decision.actor in trusters or person_of(decision.actor) in trusters


def _seen(store: Store, version: ModelVersion) -> tuple[str, ...]:
    return tuple(sorted(each.id for each in standing(store, version.made.tree.root)))


def _with_files(store: Store, ref: str) -> ModelVersion:
    version = find(store, ref)
    if version.made.elsewhere:
        raise Invalid(
            f"the files of {version.ref} are not here, so nobody can say what they are",
            code="model.elsewhere",
            hint="Register the files themselves.",
        )
    return version


def _reason(text: str) -> str:
    reason = bounded_reason(text)
    if not reason:
        raise Invalid("a decision about trust has a reason", code="model.no_reason", hint="Say why in a sentence.")
    return reason
