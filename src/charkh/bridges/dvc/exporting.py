"""Export a version to a DVC repository: objects in its cache and remote, and a `.dvc` file that names them.

Files go first and the folder's list last, on the remote as in the cache: a list is what every DVC client takes as proof
that the files are there. `verify` looks at each object on the remote all the same and mends what was lost there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from charkh.bridges.dvc.hashes import DirectoryEntry, directory_bytes, directory_oid, hasher
from charkh.bridges.dvc.pointers import SUFFIX, Output, dump_pointer, parse_pointer
from charkh.bridges.dvc.remote import Objects, open_remote
from charkh.bridges.dvc.repository import DvcRepository, files_on_disk, open_repository, tracked_outputs
from charkh.core.errors import Conflict, Corrupt, Invalid
from charkh.core.files import TreeEntry
from charkh.datasets.dataset import DatasetVersion
from charkh.ports.vault import Vault
from charkh.workspace.workspace import Workspace

AT_ONCE = 16
"""Objects under way to or from a remote at the same time."""


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an export did.

    Attributes:
        ref: the version.
        pointer: the `.dvc` file that names it.
        oid: what DVC calls the content.
        files: how many.
        size: bytes.
        cached: objects that were written to the cache; the others were there.
        sent: objects that were written to the remote.
        repaired: of those, objects that the remote should have had by what else it has.
        remote: name of the remote, or empty.
    """

    ref: str
    pointer: str
    oid: str
    files: int
    size: int
    cached: int
    sent: int
    repaired: int
    remote: str


def export_version(
    workspace: Workspace,
    version: DatasetVersion,
    path: Path,
    *,
    folder: bool = False,
    push: bool = False,
    remote: str = "",
    verify: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ExportReport:
    """Write a version where DVC finds it; `dvc checkout` then puts the files into the working copy.

    Args:
        workspace: has the version.
        version: to be exported.
        path: of the file or folder in the repository; what DVC tracks there stays a file or a folder where it can, and
            anew, a version of one file with that name becomes a file.
        folder: a folder even so.
        push: send the objects to the remote, too.
        remote: its name; naming one means `push`.
        verify: look at every object on the remote, and send again what is lost or cut short; means `push`.
        progress: called with the bytes that were read since the last call.

    Raises:
        NotFound: there is no repository or remote, or bytes of the version are not here.
        Conflict: the path belongs to a stage, or to something that is tracked as a whole.
        Invalid: the path is no path of the repository, or the remote is of a kind that this bridge does not speak.
        Unavailable: the cache or the remote cannot be written.
    """
    repository = open_repository(path.absolute().parent)
    place = _place(repository, path)
    pointer = repository.root / (place + SUFFIX)
    _refuse_foreign_output(repository, place)
    entries = list(workspace.vault.entries(version.made.tree.root))
    known = _known(pointer)
    was_folder = any(output.is_folder for output in known)
    single = len(entries) == 1 and (entries[0].path == path.name if not known else not was_folder) and not folder
    listed, sizes, written = _cache(workspace.vault, repository, entries, progress)
    executable = single and entries[0].executable
    output = Output(
        path=path.name,
        oid=listed[0].oid if single else directory_oid(listed),
        size=version.made.tree.size,
        nfiles=None if single else len(listed),
        executable=executable,
    )
    if not single:
        data = directory_bytes(listed)
        sizes[output.oid] = len(data)
        written += not repository.cache.has(output.oid)
        repository.cache.write(output.oid, [data])
    sent = repaired = 0
    target = repository.remote(remote) if push or remote or verify else None
    if target is not None:
        sent, repaired = push_objects(repository, open_remote(target), sizes, verify=verify)
    _write_pointer(pointer, output)
    _ignore(repository, pointer.parent, path.name)
    return ExportReport(
        ref=version.ref,
        pointer=str(pointer),
        oid=output.oid,
        files=len(listed),
        size=version.made.tree.size,
        cached=written,
        sent=sent,
        repaired=repaired,
        remote=target.name if target is not None else "",
    )


def push_objects(
    repository: DvcRepository, remote: Objects, sizes: Mapping[str, int], *, verify: bool = False
) -> tuple[int, int]:
    """Send objects of the cache that the remote lacks, lists of folders last: how many, and how many were repairs.

    Args:
        repository: whose cache has them.
        remote: where they go.
        sizes: the objects and their sizes in bytes.
        verify: trust nothing that the remote's lists promise, and replace what has another size.

    Raises:
        Corrupt: with `verify`, the remote lacks one still.
    """
    files = [oid for oid in sizes if not oid.endswith(".dir")]
    lists = [oid for oid in sizes if oid.endswith(".dir")]
    promised = bool(lists) and all(remote.has(oid) for oid in lists)
    there = remote.sizes() if verify else None

    def lacks(oid: str) -> bool:
        return there.get(oid) != sizes[oid] if there is not None else not remote.has(oid)

    def send(oid: str) -> None:
        if there is not None and oid in there:
            remote.remove(oid)
        remote.write(oid, repository.cache.read(oid))

    sent = repaired = 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="charkh-dvc") as pool:
        for group in (files, lists):
            missing = [oid for oid, lacking in zip(group, pool.map(lacks, group), strict=True) if lacking]
            list(pool.map(send, missing))
            sent += len(missing)
            repaired += len(missing) if promised else sum(1 for oid in missing if there is not None and oid in there)
    if verify:
        there = remote.sizes()
        lost = [oid for oid in sizes if there.get(oid) != sizes[oid]]
        if lost:
            raise Corrupt(
                f"the remote lacks {len(lost)} objects although they were sent: {', '.join(lost[:3])}",
                code="dvc.remote_loses",
                hint="Look at the remote's permissions, lifecycle rules and free space.",
                facts={"oids": lost},
            )
    return sent, repaired


def _cache(
    vault: Vault, repository: DvcRepository, entries: Sequence[TreeEntry], progress: Callable[[int], None] | None
) -> tuple[list[DirectoryEntry], dict[str, int], int]:
    """Every content in the cache: what DVC calls each, the sizes, and how many had to be written."""
    listed: list[DirectoryEntry] = []
    sizes: dict[str, int] = {}
    written = 0
    for entry in entries:
        taken = hasher()
        for data in vault.read(entry.file):
            taken.update(data)
            if progress:
                progress(len(data))
        oid = taken.hexdigest()
        if not repository.cache.has(oid):
            repository.cache.write(oid, _checked(vault.read(entry.file), oid))
            written += 1
        listed.append(DirectoryEntry(entry.path, oid))
        sizes[oid] = entry.file.size
    return listed, sizes, written


def _checked(parts: Iterable[bytes], oid: str) -> Iterator[bytes]:
    """The parts, as long as they are what was hashed: an object of DVC's is trusted unread."""
    taken = hasher()
    for part in parts:
        taken.update(part)
        yield part
    if taken.hexdigest() != oid:
        raise Conflict("the content changed while it was written", code="dvc.moved", hint="Export it once more.")


def _place(repository: DvcRepository, path: Path) -> str:
    absolute = path.absolute().parent.resolve() / path.name
    if not path.name or not absolute.is_relative_to(repository.root) or absolute == repository.root:
        raise Invalid(
            f"{path} is no file or folder inside of {repository.root}",
            code="dvc.outside",
            hint="Name where it is to lie in the repository, such as data/flights.csv.",
        )
    return absolute.relative_to(repository.root).as_posix()


def _refuse_foreign_output(repository: DvcRepository, place: str) -> None:
    tracked, _failed = tracked_outputs(files_on_disk(repository.root))
    for each in tracked:
        if each.path == place and each.said_in == place + SUFFIX:
            continue
        if each.path == place or each.path.startswith(f"{place}/") or place.startswith(f"{each.path}/"):
            maker = f"made by the stage {each.output.stage!r}" if each.output.stage else f"tracked by {each.said_in}"
            raise Conflict(
                f"{each.path} is {maker}",
                code="dvc.taken",
                hint="Export to a path of its own.",
                facts={"path": each.path},
            )


def _known(pointer: Path) -> Sequence[Output]:
    """What DVC tracks there by now."""
    return parse_pointer(pointer.read_text(encoding="utf-8"), str(pointer)) if pointer.is_file() else ()


def _write_pointer(pointer: Path, output: Output) -> None:
    before = pointer.read_text(encoding="utf-8") if pointer.is_file() else ""
    text = dump_pointer(output, before, str(pointer))
    if text != before:
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text(text, encoding="utf-8")


def _ignore(repository: DvcRepository, folder: Path, name: str) -> None:
    """Keep Git away from the data, as `dvc add` does."""
    if not (repository.root / ".git").exists():
        return
    path, line = folder / ".gitignore", f"/{name}"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if line not in lines:
        path.write_text("\n".join([*lines, line]) + "\n", encoding="utf-8")
