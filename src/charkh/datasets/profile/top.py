"""The most common texts: exact while there are few different ones, with a stated bound beyond, and mergeable."""

from collections.abc import Iterable

import msgspec

MAX_TEXT = 200
"""Characters of a text that are kept whole; of a longer one, its beginning and its digest."""


class Top(msgspec.Struct, frozen=True, array_like=True):
    """Counts of the most common texts (as mergeable summaries of Agarwal et al. 2012 keep them).

    Attributes:
        texts: the most common, then in alphabetical order.
        counts: how often each was seen at least; at most `unseen` more often.
        unseen: how often a text that is not listed, or was not listed on the way, can have been seen.
        total: of all texts, listed or not.
    """

    texts: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    unseen: int = 0
    total: int = 0

    @property
    def exact(self) -> bool:
        """Whether all texts are listed with their exact counts."""
        return self.unseen == 0

    @property
    def items(self) -> tuple[tuple[str, int], ...]:
        return tuple(zip(self.texts, self.counts, strict=True))

    @property
    def others(self) -> int:
        """Rows whose text is not listed, or not fully counted."""
        return self.total - sum(self.counts)


def top_of(counted: Iterable[tuple[str, int]], most: int, *, unseen: int = 0, total: int | None = None) -> Top:
    """The most common of counted texts.

    Args:
        counted: different texts with their counts.
        most: how many are kept.
        unseen: how often one that is not among them can have been seen.
        total: of all texts; without, the sum of the counts.
    """
    ordered = sorted(counted, key=lambda each: (-each[1], each[0]))
    kept, cut = ordered[:most], ordered[most:]
    return Top(
        texts=tuple(text for text, _ in kept),
        counts=tuple(count for _, count in kept),
        unseen=unseen + (cut[0][1] if cut else 0),
        total=sum(count for _, count in ordered) if total is None else total,
    )


def merge_tops(first: Top, second: Top, most: int) -> Top:
    """The most common of both together."""
    counts = dict(first.items)
    for text, count in second.items:
        counts[text] = counts.get(text, 0) + count
    return top_of(counts.items(), most, unseen=first.unseen + second.unseen, total=first.total + second.total)
