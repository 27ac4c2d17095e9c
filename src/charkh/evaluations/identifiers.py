"""The whole id that the beginning of one means, of the nouns that have no names."""

from charkh.core.errors import Invalid
from charkh.core.ids import ID_PATTERN
from charkh.lineage.index import SubjectsLike
from charkh.ports.store import Store


def whole_id(store: Store, noun: str, ref: str, several: str) -> str:
    """The id of the one subject that an id, `NOUN:ID` or a beginning of either means; empty where there is none.

    Args:
        store: where it is.
        noun: of the subject.
        ref: what somebody wrote.
        several: what many of the noun are called, such as `evaluations`.

    Raises:
        Invalid: several begin so.
    """
    identifier = ref.removeprefix(f"{noun}:")
    if not identifier or ID_PATTERN.fullmatch(identifier):
        return identifier
    begun = store.queries.ask(SubjectsLike(noun=noun, prefix=identifier))
    if len(begun) > 1:
        raise Invalid(
            f"{len(begun)} {several} begin with {identifier}",
            code=f"{noun}.ambiguous",
            hint="Give more of the id.",
            facts={"subjects": list(begun)},
        )
    return begun[0].removeprefix(f"{noun}:") if begun else ""
