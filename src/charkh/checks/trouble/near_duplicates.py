"""Texts that are nearly the same: MinHash over character shingles finds candidates, the exact Jaccard index decides.

Broder, A. (1997), "On the resemblance and containment of documents".
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from charkh.checks.trouble.trouble import Trouble, trouble
from charkh.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from datasketch import MinHash

SHINGLE = 5
PERMUTATIONS = 64
SIMILAR = 0.8
MOST_TEXTS = 100_000
"""Distinct texts of a column that are compared; hashing one takes about a tenth of a millisecond."""
LONG = 20
"""Mean length from which a column is taken for one of texts rather than of names or codes."""


def text_columns(frame: pl.DataFrame) -> list[str]:
    """The columns whose texts are long and various enough to be compared."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    if not texts or not frame.height:
        return []
    lengths = frame.select(pl.col(texts).str.len_chars().mean()).row(0)
    return [name for name, mean in zip(texts, lengths, strict=True) if mean is not None and mean >= LONG]


def near_duplicates(frame: pl.DataFrame, columns: Sequence[str], *, similar: float = SIMILAR) -> Iterator[Trouble]:
    """Rows whose text in a column is nearly that of an earlier row; equal texts are no near duplicates.

    Args:
        frame: the table.
        columns: of texts.
        similar: Jaccard index of the sets of shingles from which two texts count as one, between 0 and 1.

    Raises:
        Invalid: a column has more distinct texts than can be compared.
        Unavailable: the library is not installed.
    """
    for name in columns:
        texts = frame.select(pl.col(name), pl.int_range(pl.len()).alias("_place")).drop_nulls()
        distinct = texts.group_by(name, maintain_order=True).agg(pl.col("_place").first())
        if distinct.height > MOST_TEXTS:
            raise Invalid(
                f"{name!r} has {distinct.height} distinct texts, more than the {MOST_TEXTS} that are compared",
                code="check.too_many_texts",
                hint="Look at a part of the rows, or leave the near duplicates of that column out.",
            )
        values: list[str] = distinct[name].to_list()
        first = _first_alike(values, similar)
        later = {values[place] for place, other in enumerate(first) if other != place}
        if not later:
            continue
        rows = texts.filter(pl.col(name).is_in(list(later)))["_place"].cast(pl.Int64).to_numpy()
        message = f"{len(rows)} rows have a text in {name!r} that is nearly that of an earlier row"
        yield trouble("near_duplicate", (name,), np.sort(rows), frame.height, message)


def _first_alike(values: Sequence[str], similar: float) -> list[int]:
    """For each text, the place of the first one that it is alike to, through others if need be."""
    shingles = [_shingles(value) for value in values]
    first = list(range(len(values)))

    def root(place: int) -> int:
        while first[place] != place:
            first[place] = first[first[place]]
            place = first[place]
        return place

    for one, other in _candidates(shingles, similar):
        union = len(shingles[one] | shingles[other])
        if union and len(shingles[one] & shingles[other]) / union >= similar:
            low, high = sorted((root(one), root(other)))
            first[high] = low
    return [root(place) for place in range(len(values))]


def _shingles(text: str) -> frozenset[bytes]:
    plain = " ".join(text.casefold().split())
    pieces = max(1, len(plain) - SHINGLE + 1)
    return frozenset(plain[place : place + SHINGLE].encode() for place in range(pieces))


def _candidates(shingles: Sequence[frozenset[bytes]], similar: float) -> Iterator[tuple[int, int]]:
    minhash, index = _library(similar)
    for place, pieces in enumerate(shingles):
        sketch: MinHash = minhash(num_perm=PERMUTATIONS, seed=1)
        sketch.update_batch(list(pieces))
        for other in index.query(sketch):
            yield int(other), place
        index.insert(place, sketch)


def _library(similar: float) -> tuple[Any, Any]:
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError as error:
        raise Unavailable(
            "near duplicates are found by a library that is not installed",
            code="check.no_datasketch",
            hint="Install it: pip install 'charkh[text]'.",
        ) from error
    # Candidates are verified, so the index may rather find too many.
    return MinHash, MinHashLSH(threshold=max(0.1, similar - 0.1), num_perm=PERMUTATIONS)
