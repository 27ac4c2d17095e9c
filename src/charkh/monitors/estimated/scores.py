"""Scores in narrow bins: all that estimated performance needs of live rows, in constant memory, and it adds up."""

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid

Floats = npt.NDArray[np.float64]

BINS = 256
"""Of equal mass, and as many of equal width: the tails stay apart, and so does what moves into a gap."""


class ScoreSketch(msgspec.Struct, frozen=True, kw_only=True):
    """How often each bin was met.

    Attributes:
        edges: ascending; a score that equals an edge is above it. Below the first and from the last on lies what the
            reference never met.
        counts: rows by bin, one more than edges.
        sums: of the scores by bin.
        squares: of the squared scores by bin.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    sums: tuple[float, ...]
    squares: tuple[float, ...]

    @property
    def rows(self) -> int:
        return sum(self.counts)

    @property
    def outside(self) -> float:
        """The share of rows whose score lies where the reference has none."""
        return (self.counts[0] + self.counts[-1]) / self.rows if self.rows else 0.0

    def __add__(self, other: "ScoreSketch") -> "ScoreSketch":
        if self.edges != other.edges:
            raise Invalid(
                "two sketches of scores have other edges",
                code="monitor.sketch",
                hint="Sketch all batches over the edges of one reference.",
            )
        return ScoreSketch(
            edges=self.edges,
            counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            sums=tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
            squares=tuple(a + b for a, b in zip(self.squares, other.squares, strict=True)),
        )


def edges_of(scores: Floats, threshold: float) -> Floats:
    """Edges for scores like these; the threshold is one of them, so that what it decides is exact."""
    low, high = float(scores.min()), float(scores.max())
    mass = np.quantile(scores, np.linspace(0, 1, BINS + 1), method="lower")
    width = np.linspace(low, high, BINS + 1)
    inner = np.unique(np.concatenate([mass, width, [threshold] if low < threshold <= high else []]))
    return np.append(inner, np.nextafter(high, np.inf))


def sketch_scores(scores: Floats, edges: Floats) -> ScoreSketch:
    """Count scores over the edges of a reference; those that are not finite are left out."""
    some = scores[np.isfinite(scores)]
    codes, bins = np.searchsorted(edges, some, "right"), len(edges) + 1
    return ScoreSketch(
        edges=tuple(edges.tolist()),
        counts=tuple(np.bincount(codes, minlength=bins).tolist()),
        sums=tuple(np.bincount(codes, some, bins).tolist()),
        squares=tuple(np.bincount(codes, some**2, bins).tolist()),
    )


def means(sketch: ScoreSketch) -> Floats:
    """The mean score of each bin; of an empty one a score inside it."""
    counts, sums, edges = np.array(sketch.counts), np.array(sketch.sums), np.array(sketch.edges)
    inside = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
    return np.where(counts > 0, sums / np.maximum(counts, 1), inside)
