"""Whole contents: does what trees say of a file hold for all of it, when its chunks are put together?

Chunks that are each sound can still be the wrong ones: a list that another program wrote, or one that was mixed up.
"""

from collections.abc import Callable, Iterable, Iterator

from blake3 import blake3

from charkh.assets.erasures import replacement
from charkh.assets.nodes import TreeBranch, TreeLeaf, list_chunks
from charkh.assets.pack import NODE
from charkh.assets.vault import PackVault
from charkh.assets.verify import Problem
from charkh.core.digests import parse_digest
from charkh.core.errors import Corrupt, NotFound
from charkh.core.files import FileRef


def check_contents(
    vault: PackVault, roots: Iterable[str], progress: Callable[[int], None] | None = None
) -> Iterator[Problem]:
    """The files below the roots whose whole content is not what their digest says.

    What is missing or damaged chunk by chunk is for `charkh.assets.verify` to say, and a content of which stretches
    were erased has another digest by right.

    Args:
        vault: where they are.
        roots: held digests.
        progress: called with the number of files looked at since the last call.
    """
    for file in _files(vault, roots):
        if any(bytes.fromhex(digest) in vault.erased.now() for digest in _listed(vault, file)):
            continue
        whole, size = blake3(), 0
        try:
            for chunk in vault.read(file):
                whole.update(chunk)
                size += len(chunk)
        except (Corrupt, NotFound):
            continue
        if whole.hexdigest() != file.digest or size != file.size:
            yield Problem(what="content", detail="its chunks make another content than is said of it", digest=file.held)
        if progress:
            progress(1)


def _listed(vault: PackVault, file: FileRef) -> Iterator[str]:
    """The chunks that a content was made of; none where that cannot be read."""
    try:
        for _begin, spans in list_chunks(bytes.fromhex(file.root), file.size, vault.load_node):
            for span in spans:
                yield span.digest.hex()
    except (Corrupt, NotFound):
        return


def _files(vault: PackVault, roots: Iterable[str]) -> Iterator[FileRef]:
    """Each file of several chunks that is named by a tree, once, as it is shown."""
    erased = vault.erased.now()
    waiting = [replacement(bytes.fromhex(parse_digest(root)), erased) for root in roots]
    seen: set[bytes] = set()
    met: set[str] = set()
    while waiting:
        digest = waiting.pop()
        place = vault.shelf.locate([digest]).get(digest) if digest and digest not in seen else None
        seen.add(digest)
        if place is None or place.kind != NODE:
            continue
        try:
            node = vault.load_node(digest)
        except (Corrupt, NotFound):
            continue
        if isinstance(node, TreeBranch):
            waiting += [bytes.fromhex(child.digest) for child in node.children]
        elif isinstance(node, TreeLeaf):
            for entry in node.entries:
                file = vault.shown(entry.file, erased)
                if file.root and file.digest not in met:
                    met.add(file.digest)
                    yield file
