"""The version that two versions were both made from: their nearest common ancestor."""

from charkh.core.authors import refs_of
from charkh.core.errors import Invalid
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetById
from charkh.ports.store import Store


def ancestors(store: Store, version: DatasetVersion) -> dict[str, DatasetVersion]:
    """By id, the version itself and every version that it was made from, as far as they are known."""
    found = {version.id: version}
    waiting = [version]
    while waiting:
        for identifier in waiting.pop().made.all_parents:
            if identifier not in found:
                parent = store.queries.ask(DatasetById(version=identifier))
                if parent is not None:
                    found[identifier] = parent
                    waiting.append(parent)
    return found


def common_ancestor(store: Store, ours: DatasetVersion, theirs: DatasetVersion) -> DatasetVersion:
    """The nearest version that both were made from; of several, because they were merged crosswise, the newest.

    Raises:
        Invalid: there is none.
    """
    mine = ancestors(store, ours)
    common = {identifier: version for identifier, version in ancestors(store, theirs).items() if identifier in mine}
    above = {identifier for version in common.values() for identifier in version.made.all_parents}
    nearest = [version for identifier, version in common.items() if identifier not in above]
    if not nearest:
        refs = refs_of([ours, theirs])
        raise Invalid(
            f"{refs[ours.id]} and {refs[theirs.id]} were not made from one version",
            code="merge.no_base",
            hint="Name the version to compare both with: --base flights@2; or add the rows of one to the other.",
        )
    return max(nearest, key=lambda version: version.stamp)
