"""What the certificates of a model version are worth at a moment: the facts that a gate reads."""

from charkh.core.events import Fact
from charkh.evaluations.stability.certificate import Certificate
from charkh.evaluations.stability.index import CertificatesOf
from charkh.ports.store import Store

PREFIX = "stability."


def standing(store: Store, subject: str, moment: float) -> dict[str, Fact]:
    """The facts about `subject` that certificates state and that count at `moment` (seconds since the epoch).

    Of each suite the newest certificate counts: one that passed until it expires, one that did not until the suite
    passes. `stability.ok` needs every suite that counts to be ok; without any it is not known, and no gate that asks
    for it is met.
    """
    counting = [each for each in store.queries.ask(CertificatesOf(subject=subject)) if counts(each, moment)]
    if not counting:
        return {}
    facts: dict[str, Fact] = {}
    for each in counting:
        facts.update(each.made.facts)
    facts["stability.ok"] = all(each.made.ok for each in counting)
    facts["stability.failed"] = sum(each.made.count("failed", "broken") for each in counting)
    facts["stability.expires"] = min(each.made.expires for each in counting)
    return facts


def counts(certificate: Certificate, moment: float) -> bool:
    """Whether it counts at a moment: it has not expired, or it failed, which time alone does not mend."""
    return not certificate.made.ok or not certificate.expired(moment)
