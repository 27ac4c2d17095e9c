"""Let a version be loaded, deployed or promoted, or refuse it: the registry's policy is judged anew each time."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from charkh.core.errors import Denied
from charkh.models.governance import SignatureMade
from charkh.models.governance_index import SignaturesOf
from charkh.models.model import ModelVersion
from charkh.models.oms import PublicKey
from charkh.models.sign import unsigned, verified_by
from charkh.models.trust import is_trusted, refuse_distrusted, standing
from charkh.ports.runtimes import Safety
from charkh.ports.store import Store

EVERY = "*"


class Rules(NamedTuple):
    """What the registry's policy asks of versions.

    Attributes:
        signed: aliases whose holders must carry a signature; `*` for every version.
        keys: gives the public keys whose signatures count; called where a signature is asked for.
        trusters: people whose trust in code counts; everybody's with none.
    """

    signed: tuple[str, ...] = ()
    keys: Callable[[], Sequence[PublicKey]] = tuple
    trusters: tuple[str, ...] = ()


NO_RULES = Rules()


def admit(
    store: Store,
    version: ModelVersion,
    rules: Rules,
    *,
    alias: str = "",
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Refuse a version that the policy does not let through.

    Args:
        store: where it is.
        version: that is to be loaded, deployed or promoted.
        rules: the policy.
        alias: that it is to hold, beside those that it holds.
        files: its content by path where it has been read already: what is verified is then what is used.

    Raises:
        Denied: its bytes are distrusted, or a signature is asked for and none that is trusted covers them.
    """
    refuse_distrusted(store, version)
    if must_be_signed(version, rules, alias=alias):
        verified_by(store, version, rules.keys(), files)


def require_signatures(store: Store, version: ModelVersion, rules: Rules) -> None:
    """Refuse a version that nobody signed where a signature is asked for; what a signature is worth, `admit` says.

    Raises:
        Denied: so it is.
    """
    if must_be_signed(version, rules) and not store.queries.ask(SignaturesOf(version=version.id)):
        raise unsigned(version, "nobody has signed it")


def must_be_signed(version: ModelVersion, rules: Rules, *, alias: str = "") -> bool:
    """Whether the policy asks for a signature, by the aliases that a version holds or is to hold."""
    return EVERY in rules.signed or not {alias, *version.aliases}.isdisjoint(rules.signed)


def signature_counted(store: Store, version: ModelVersion, rules: Rules) -> SignatureMade | None:
    """The version's signature that is trusted, verified now; None where there is none."""
    try:
        return verified_by(store, version, rules.keys())
    except Denied:
        return None


def require_trust(store: Store, version: ModelVersion, safety: Safety, rules: Rules) -> None:
    """Refuse to run code that a version's files bring, unless it is trusted.

    Args:
        store: where the decisions are.
        version: whose files they are.
        safety: what loading them could do, as judged now.
        rules: whose trust counts.

    Raises:
        Denied: nobody has decided to trust these bytes, or no more; with the reasons why they count as code.
    """
    digest = version.made.tree.root
    if is_trusted(store, digest, trusters=rules.trusters):
        return
    decisions = standing(store, digest)
    said = next((f"; {each.actor}'s decision does not count, or no more" for each in decisions if each.trusted), "")
    raise Denied(
        f"loading {version.ref} could run code: {'; '.join(safety.reasons) or safety.level}{said}",
        code="model.code",
        hint="Where you know who made it, look at `charkh model trust "
        f"{version.ref} --reason …`; else load it with its framework and register what it gave in a safe format.",
        facts={"reasons": list(safety.reasons), "digest": digest},
    )
