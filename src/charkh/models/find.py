"""Find the version that a reference means."""

from charkh.core.errors import NotFound
from charkh.core.ids import ID_PATTERN
from charkh.models.index import ModelById, ModelByRef, Models, NewNames
from charkh.models.model import ModelVersion
from charkh.models.registered import parse_model_ref
from charkh.ports.store import Store


def find(store: Store, ref: str) -> ModelVersion:
    """The version that `ref` means: `delay@3`, `delay@3~ann`, `delay@latest`, `delay@champion`, `model:ID` or an id.

    Raises:
        NotFound: no version is meant, it has been deleted, or the model has another name now.
        Conflict: several are; the error lists a reference for each.
    """
    identifier = ref.removeprefix("model:")
    if ID_PATTERN.fullmatch(identifier):
        version = store.queries.ask(ModelById(version=identifier))
    else:
        version = store.queries.ask(ModelByRef(ref=parse_model_ref(ref)))
    if version is None:
        raise _not_found(store, ref)
    if version.deleted is not None:
        raise NotFound(f"{version.ref} was deleted", code="model.deleted", hint="Name another version.")
    return version


def _not_found(store: Store, ref: str) -> NotFound:
    name, at, selector = ref.partition("@")
    for new in store.queries.ask(NewNames(name=name)):
        return NotFound(
            f"there is no model {ref}: {name!r} was renamed to {new!r}",
            code="model.renamed",
            hint=f"Write {new}{at}{selector}.",
            facts={"renamed": new},
        )
    names = [summary.name for summary in store.queries.ask(Models())]
    known = ", ".join(names[:10]) or "none yet"
    return NotFound(
        f"there is no model {ref}",
        code="model.not_found",
        hint=f"`charkh model list` shows them; known: {known}.",
    )
