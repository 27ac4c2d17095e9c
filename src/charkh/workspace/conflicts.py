"""Names with a number that several authors took apart: both stay, told apart by who made them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from charkh.core.authors import distinct_refs
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetVersions
from charkh.models.index import ModelVersions
from charkh.models.model import ModelVersion
from charkh.ports.store import Store


class SyncConflict(msgspec.Struct, frozen=True, kw_only=True):
    """One name and number that was taken more than once.

    Attributes:
        noun: `dataset` or `model`.
        ref: as everybody calls it, such as `flights@3`.
        refs: as each is told apart, such as `flights@3~ann`.
        authors: who made each, `user@host`.
    """

    noun: str
    ref: str
    refs: tuple[str, ...]
    authors: tuple[str, ...]


def conflicts_in(store: Store, named: Iterable[tuple[str, str]]) -> tuple[SyncConflict, ...]:
    """The conflicts among the versions of some names.

    Args:
        store: that has the facts.
        named: (noun, name).
    """
    found: list[SyncConflict] = []
    for noun, name in sorted(named):
        versions: Sequence[DatasetVersion | ModelVersion] = (
            store.queries.ask(ModelVersions(name=name))
            if noun == "model"
            else store.queries.ask(DatasetVersions(name=name))
        )
        by_ref: dict[str, list[DatasetVersion | ModelVersion]] = defaultdict(list)
        for version in versions:
            by_ref[version.ref].append(version)
        for ref, several in sorted(by_ref.items()):
            if len(several) > 1:
                several.sort(key=lambda version: version.id)
                actors = tuple(version.actor for version in several)
                found.append(SyncConflict(noun=noun, ref=ref, refs=distinct_refs(several), authors=actors))
    return tuple(found)
