"""Find the version that a reference means."""

import shlex

from charkh.core.authors import refs_of
from charkh.core.errors import NotFound
from charkh.core.ids import ID_PATTERN
from charkh.core.refs import parse_version_ref
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetById, DatasetByRef, Datasets, DatasetVersions
from charkh.ports.store import Store


def find(store: Store, ref: str) -> DatasetVersion:
    """The version that `ref` means: `flights`, `flights@3`, `flights@3~ann`, `flights@latest`, `dataset:ID` or an id.

    Raises:
        NotFound: no version is meant, or it has been deleted.
        Conflict: several are; the error lists a reference for each.
    """
    identifier = ref.removeprefix("dataset:")
    if ID_PATTERN.fullmatch(identifier):
        version = store.queries.ask(DatasetById(version=identifier))
    else:
        version = store.queries.ask(DatasetByRef(ref=parse_version_ref(ref)))
    if version is None:
        raise _not_found(store, ref)
    if version.deleted is not None:
        raise NotFound(
            f"{version.ref} was deleted",
            code="dataset.deleted",
            hint=f"`charkh dataset log {version.made.name}` shows the other versions.",
        )
    return version


def _not_found(store: Store, ref: str) -> NotFound:
    name, at, wanted = ref.partition("@")
    versions = refs_of(store.queries.ask(DatasetVersions(name=name))).values() if at else ()
    if versions:
        said = ", ".join(list(versions)[:10])
        return NotFound(
            f"{name!r} has no version {wanted}",
            code="dataset.not_found",
            hint=f"`charkh dataset log {shlex.quote(name)}` shows them; newest first: {said}.",
        )
    names = [summary.name for summary in store.queries.ask(Datasets())]
    known = ", ".join(names[:10]) or "none yet"
    return NotFound(
        f"there is no dataset {ref}",
        code="dataset.not_found",
        hint=f"`charkh dataset list` shows them; known: {known}.",
    )
