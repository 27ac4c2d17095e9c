"""What a text on the command line or in a request means: the subject of an id, a beginning of one, or a reference."""

from charkh.core.errors import Invalid, NotFound
from charkh.core.ids import ID_PATTERN
from charkh.datasets.find import find as find_dataset
from charkh.lineage.index import SubjectsLike
from charkh.models.find import find as find_model
from charkh.ports.store import Store


def resolve(store: Store, what: str) -> str:
    """The subject that a text means: `noun:id` (the id may be cut), `name@selector` or a bare id.

    Raises:
        NotFound: there is none.
        Invalid: it means several.
    """
    if "@" in what:
        try:
            return find_model(store, what).subject
        except NotFound:
            return find_dataset(store, what).subject
    noun, colon, identifier = what.partition(":")
    if not colon or not identifier:
        raise Invalid(
            f"{what!r} is no prediction id, subject or reference",
            code="trace.what",
            hint="Give a prediction's id, run:1f3a, model:ID, or a reference such as delay@3.",
        )
    if ID_PATTERN.fullmatch(identifier):
        return what
    known = store.queries.ask(SubjectsLike(noun=noun, prefix=identifier))
    if len(known) > 1:
        raise Invalid(
            f"{what} means {len(known)} subjects", code="trace.ambiguous", hint=f"Such as {known[0]} and {known[1]}."
        )
    if not known:
        raise NotFound(f"nothing is known about {what}", code="trace.not_found", hint="Check the id.")
    return known[0]
