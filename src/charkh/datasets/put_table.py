"""Put the files of a table into the vault: look whether they make one, and store them, each only where it changed."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from charkh.core.errors import Conflict
from charkh.core.files import TreeEntry
from charkh.datasets.dataset import Reading
from charkh.datasets.known_shapes import KnownShapes
from charkh.datasets.put import LARGE, put_files, together
from charkh.datasets.sniff import TableShape, read_shape
from charkh.datasets.stat_cache import Learnt, StatCache
from charkh.datasets.walk import LocalFile
from charkh.ports.vault import Progress, Vault


def put_table(
    vault: Vault,
    files: Sequence[LocalFile],
    reading: Reading,
    before: Iterable[TreeEntry] = (),
    stats: StatCache | None = None,
    progress: Progress | None = None,
) -> tuple[TableShape, list[TreeEntry]]:
    """The table that files make, and their entries.

    Args:
        vault: where they go.
        files: by path.
        reading: how text files are read.
        before: entries, by path, that may stand at the same paths.
        stats: what files held when they were last read, and the shape that each had.
        progress: called with the bytes that were stored since the last call.

    Raises:
        Invalid: one of them cannot be read as a table, or their columns differ.
        Conflict: one changed while it was looked at.
    """
    shapes = KnownShapes(reading, {}) if stats is None else _known(stats, files, reading)
    learnt: list[Learnt] = []

    def put(advance: Progress | None) -> list[TreeEntry]:
        return list(put_files(vault, files, before=before, stats=stats, learn=learnt.extend, progress=advance))

    fresh = [file for file in files if not shapes.knows(file.path)]
    if sum(file.size for file in fresh) < LARGE:
        # Small ones are stored when they are known to be a table.
        shape, entries = read_shape(files, reading, shapes), put(progress)
    else:
        with ThreadPoolExecutor(1, thread_name_prefix="charkh-shape") as beside:
            looking = beside.submit(read_shape, files, reading, shapes)

            def go_on(size: int) -> None:
                if looking.done():
                    # What is no table need not be stored to its end.
                    looking.result()
                if progress:
                    progress(size)

            entries, shape = put(go_on), looking.result()
    read = {each.seen.path for each in learnt} | {file.path for file in fresh}
    for file in files:
        if file.path in read:
            _refuse_changed(file)
    if stats is not None:
        # What was known already and got a shape by now is remembered anew.
        for batch in together(zip(files, entries, strict=True)):
            stats.learn(
                Learnt(file, entry.file, shapes.encoded(file.path))
                for file, entry in batch
                if file.path in read or shapes.is_new(file.path)
            )
    return shape, entries


def _known(stats: StatCache, files: Sequence[LocalFile], reading: Reading) -> KnownShapes:
    found: dict[str, bytes] = {}
    for batch in together(files):
        for file, known in zip(batch, stats.look_up(batch), strict=True):
            if known is not None and known.shape:
                found[file.path] = known.shape
    return KnownShapes(reading, found)


def _refuse_changed(file: LocalFile) -> None:
    status = file.disk.stat()
    if (status.st_size, status.st_mtime_ns) != (file.size, file.changed):
        raise Conflict(
            f"{file.place} changed while it was added",
            code="dataset.file_changed",
            hint="Wait until nothing writes to it and add it again.",
        )
