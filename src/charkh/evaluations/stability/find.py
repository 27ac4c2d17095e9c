"""Find the certificate that a reference means."""

from charkh.core.errors import Invalid, NotFound
from charkh.core.ids import ID_PATTERN
from charkh.evaluations.stability.certificate import Certificate
from charkh.evaluations.stability.index import CertificateById
from charkh.lineage.index import SubjectsLike
from charkh.ports.store import Store

NOUN = "stability"


def find_certificate(store: Store, ref: str) -> Certificate:
    """The certificate with this id, `stability:ID`, or a beginning of either that means one alone.

    Raises:
        NotFound: there is none.
        Invalid: several begin so.
    """
    identifier = ref.removeprefix(f"{NOUN}:")
    if identifier and not ID_PATTERN.fullmatch(identifier):
        begun = store.queries.ask(SubjectsLike(noun=NOUN, prefix=identifier))
        if len(begun) > 1:
            raise Invalid(
                f"{len(begun)} certificates begin with {identifier}",
                code="stability.ambiguous",
                hint="Give more of the id.",
                facts={"subjects": list(begun)},
            )
        identifier = begun[0].removeprefix(f"{NOUN}:") if begun else ""
    found = store.queries.ask(CertificateById(certificate=identifier)) if identifier else None
    if found is None:
        raise NotFound(
            f"there is no certificate {ref}",
            code="stability.not_found",
            hint="`charkh evaluation certificates` lists them.",
        )
    return found
