"""A dataset of another charkh store: the files that are new or changed there, with the version they came from."""

from charkh.core.source_settings import StoreSource
from charkh.datasets.find import find
from charkh.ports.store import Store
from charkh.ports.vault import Progress
from charkh.sources.collecting import Arrival, Collected, sort_out
from charkh.sources.source import Item, State, shown_address
from charkh.sources.staging import Note, Staging, digest_of


class StoreCollector:
    """One dataset, or one version, of another store.

    Args:
        settings: of the source.
        other: the store that has it.
        address: of that store, for people.
    """

    kind = "charkh"

    def __init__(self, settings: StoreSource, other: Store, address: str) -> None:
        self._settings = settings
        self._other = other
        self._address = address

    @property
    def address(self) -> str:
        """The store and the reference."""
        return shown_address(f"{self._address} {self._settings.ref}")

    def collect(self, state: State, staging: Staging, *, dry_run: bool, progress: Progress | None) -> Collected:
        """See `Collector`; a file whose digest is what it was is not read."""
        version = find(self._other, self._settings.ref)
        found: list[Arrival | Item] = []
        for entry in self._other.vault.entries(version.made.tree.root):
            known = state.items.get(entry.path)
            if known is not None and known.digest == entry.file.digest:
                found.append(known)
                continue
            item = Item(key=entry.path, path=entry.path, size=entry.file.size, digest=entry.file.digest)
            place = staging.place(item.key)
            if not dry_run and not (staging.note(item.key) and digest_of(place) == item.digest):
                with place.open("wb") as file:
                    for data in self._other.vault.read(entry.file):
                        file.write(data)
                        if progress:
                            progress(len(data))
                staging.write_note(Note(key=item.key, total=item.size, digest=item.digest))
            found.append(Arrival(item, None if dry_run else place, changed=known is not None))
        said = sort_out(found, state)
        return said._replace(origins=(("collected_from", version.subject),), notes=(f"from {version.ref} there",))
