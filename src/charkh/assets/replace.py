"""Replace whole contents for ever by others without some of their bytes: the erasure that fits a row of a table.

A version keeps its tree; whoever reads a replaced content is given the one that stands in its place. What leaves the
medium are the chunks that had the erased bytes and that no content which stays is made of: a chunk may hold the end of
one person's row and the whole of another's, in another file.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from charkh.assets.cutting import ONE_CHUNK
from charkh.assets.erase import Range, cut_out
from charkh.assets.erasures import replacement
from charkh.assets.index import ERASED_KIND, Erased
from charkh.assets.nodes import LIST_ITEM, ListLeaf, Node, TreeLeaf, children_of
from charkh.assets.pack import NODE
from charkh.assets.vault import PackVault
from charkh.core.digests import parse_digest
from charkh.core.errors import Corrupt, Denied, NotFound
from charkh.core.events import Draft
from charkh.core.files import FileRef

AT_ONCE = 20_000
"""Digests that one event names at most, about."""
_WALKED_AT_ONCE = 1000


class Change(NamedTuple):
    """A content and what stands in its place from now on.

    Attributes:
        file: the content, as it is read now.
        instead: what is shown, in the vault and flushed.
        ranges: the stretches of `file` that `instead` lacks; None where any of its bytes may say what is erased.
    """

    file: FileRef
    instead: FileRef
    ranges: tuple[Range, ...] | None = None


def replace(
    vault: PackVault, changes: Sequence[Change], roots: Iterable[str], reason: str, strays: Iterable[bytes] = ()
) -> list[Draft]:
    """The facts that replace these contents; they are to be recorded together, durably.

    Args:
        vault: where the contents are.
        changes: at most one for each content.
        roots: every held digest; what is below one stays, unless it is of a content that is replaced.
        reason: why, bounded, without what is erased.
        strays: chunks that have something of what is erased; they leave unless something that stays is made of them.

    Raises:
        NotFound, Corrupt: a content is not here whole.
    """
    erasing: dict[bytes, list[Range] | None] = dict.fromkeys(strays)
    for change in changes:
        _add_chunks(vault, change, erasing)
    lists = {change.file.root: change.instead.held for change in changes if change.file.root}
    leaving = {digest for change in changes for digest in (change.file.digest, change.file.held)}
    wanted = {*erasing, *map(bytes.fromhex, lists)}
    kept = chunks_in_use(vault, roots, wanted, leaving)
    for change in changes:
        kept |= wanted & {bytes.fromhex(digest) for digest, _length in vault.chunks(change.instead)}
    whole = {change.file.digest: "" if change.instead.root else change.instead.digest for change in changes}
    lists = {root: instead for root, instead in lists.items() if bytes.fromhex(root) not in kept}
    chunks = {
        digest.hex(): _without(vault, digest, ranges)
        for digest, ranges in erasing.items()
        if digest not in kept and digest.hex() not in whole
    }
    vault.flush()
    contents = {change.file.digest: change.instead for change in changes}
    return [
        _draft(some, {digest: contents[digest] for digest in some if digest in contents}, reason)
        for some in _portions({**whole, **lists, **chunks})
    ]


def chunks_in_use(vault: PackVault, roots: Iterable[str], wanted: Set[bytes], leaving: Set[str]) -> set[bytes]:
    """Which of the wanted chunks and nodes stand below the roots, in a content that does not leave.

    Args:
        vault: where they are.
        roots: held digests; what is missing below them is passed over.
        wanted: digests of chunks and nodes.
        leaving: digests and roots of whole contents that do not count.
    """
    used: set[bytes] = set()
    seen: set[bytes] = set()
    erased = vault.erased.now()
    held = [replacement(bytes.fromhex(parse_digest(root)), erased) for root in roots if root not in leaving]
    waiting = [digest for digest in held if digest and digest.hex() not in leaving]
    while waiting:
        some = set(waiting[-_WALKED_AT_ONCE:]) - seen
        del waiting[-_WALKED_AT_ONCE:]
        used |= wanted & some
        seen |= some
        for digest, place in vault.shelf.locate(list(some)).items():
            if place.kind != NODE:
                continue
            try:
                node = vault.load_node(digest)
            except (Corrupt, NotFound):
                continue
            if isinstance(node, ListLeaf):
                used.update(wanted & {chunk for chunk, _length in LIST_ITEM.iter_unpack(node.chunks)})
            else:
                waiting += _below(vault, node, leaving)
    return used


def _below(vault: PackVault, node: Node, leaving: Set[str]) -> list[bytes]:
    if not isinstance(node, TreeLeaf):
        return [named.digest for named in children_of(node)]
    files = [vault.erased.current(entry.file) for entry in node.entries]
    return [bytes.fromhex(file.held) for file in files if file.digest not in leaving]


def _add_chunks(vault: PackVault, change: Change, erasing: dict[bytes, list[Range] | None]) -> None:
    """Note the chunks of a content that have something of what is erased, and which stretches of them."""
    begin = 0
    stretches = change.ranges
    place = 0
    for name, length in vault.chunks(change.file):
        digest, end = bytes.fromhex(name), begin + length
        if stretches is None:
            erasing[digest] = None
        else:
            while place < len(stretches) and stretches[place][1] <= begin:
                place += 1
            within: list[Range] = []
            for first, last in stretches[place:]:
                if first >= end:
                    break
                within.append((max(first, begin) - begin, min(last, end) - begin))
            known = erasing.setdefault(digest, []) if within else None
            if known is not None:
                known.extend(within)
        begin = end


def _without(vault: PackVault, digest: bytes, ranges: Sequence[Range] | None) -> str:
    """The digest of a chunk without these stretches, for whoever has the chunk and is not known here."""
    if ranges is None:
        return ""
    content = cut_out(b"".join(vault.read(FileRef(digest.hex(), 0))), ranges)
    try:
        return vault.put_bytes(content, ONE_CHUNK).digest if content else ""
    except Denied:
        return ""


def _portions(replacements: Mapping[str, str]) -> Iterable[dict[str, str]]:
    items = list(replacements.items())
    for start in range(0, len(items), AT_ONCE):
        yield dict(items[start : start + AT_ONCE])


def _draft(replacements: dict[str, str], contents: dict[str, FileRef], reason: str) -> Draft:
    held = {digest for digest in replacements.values() if digest} | {file.held for file in contents.values()}
    return Draft(
        kind=ERASED_KIND,
        subject=f"asset:{min(replacements)}",
        body=Erased(replacements=replacements, reason=reason, contents=contents),
        holds=tuple(sorted(held)),
    )
