"""What a text on the command line or in a request means: the subject of an id, a beginning of one, or a reference."""

from charkh.core.errors import Invalid, NotFound
from charkh.core.ids import ID_PATTERN
from charkh.datasets.find import find as find_dataset
from charkh.lineage.index import SubjectsLike
from charkh.models.find import find as find_model
from charkh.ports.store import Store


def resolve(store: Store, what: str) -> str:
    """The subject that a text means: `noun:id` (the id may be cut), `name@selector`, or a name for its newest version.

    A model goes before a dataset of the same name.

    Raises:
        NotFound: there is none.
        Invalid: it means several.
    """
    if "@" in what:
        return _version(store, what)
    noun, colon, identifier = what.partition(":")
    if not colon or not identifier:
        try:
            return _version(store, what)
        except (Invalid, NotFound):
            pass
        raise Invalid(
            f"nothing here is called {what!r}",
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


def _version(store: Store, ref: str) -> str:
    """The subject of a version of a model, else of a dataset."""
    refused: list[NotFound] = []
    for find in (find_model, find_dataset):
        try:
            return find(store, ref).subject
        except NotFound as error:
            refused.append(error)
    raise next((error for error in refused if error.code.endswith(".deleted")), None) or NotFound(
        f"there is no model or dataset {ref}",
        code="trace.not_found",
        hint="`charkh model list` and `charkh dataset list` show them.",
    )
