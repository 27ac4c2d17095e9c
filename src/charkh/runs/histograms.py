"""Histograms: values counted into equal bins, or counts and edges as they were given.

The payload is JSON, `{"counts": […], "edges": […]}`, with one edge more than counts; the first bin begins at the
first edge.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import msgspec

from charkh.core.errors import Invalid
from charkh.runs.pictures import Encoded

BINS = 64
MAX_BINS = 4096
MIME = "application/vnd.charkh.histogram+json"


def encode_histogram(values: Any) -> Encoded:
    """A histogram of numbers of any shape, in 64 bins, or of a pair of counts and edges.

    What is not finite is left out and counted in the details (`not_finite`).

    Raises:
        Invalid: these are no numbers, or counts and edges do not fit each other.
    """
    pair: tuple[Any, ...] = cast(tuple[Any, ...], values) if isinstance(values, tuple) else ()
    # Two plain numbers are values; counts and edges are sequences.
    if len(pair) == 2 and hasattr(pair[0], "__len__"):
        return given_histogram(_floats(pair[0]), _floats(pair[1]))
    return _of_values(cast(Any, values))


def given_histogram(counts: Sequence[float], edges: Sequence[float]) -> Encoded:
    """A histogram as it was counted elsewhere.

    Raises:
        Invalid: counts and edges do not fit each other.
    """
    fits = 0 < len(counts) <= MAX_BINS and len(edges) == len(counts) + 1
    rising = all(left <= right for left, right in pairwise(edges))
    if not fits or not rising or any(not math.isfinite(each) or each < 0 for each in counts):
        raise Invalid(
            f"{len(counts)} counts and {len(edges)} edges make no histogram",
            code="run.bad_media",
            hint=f"Give 1 to {MAX_BINS} counts from 0 on, and one rising edge more than counts.",
        )
    return _encoded(counts, edges, 0)


def _of_values(values: Any) -> Encoded:
    tensor = getattr(values, "detach", None)
    if callable(tensor):
        plain: Any = tensor()
        values = plain.float().cpu().numpy()
    if hasattr(values, "__array__"):
        return _counted_array(values)
    return _counted(_floats(values))


def _counted_array(values: Any) -> Encoded:
    import numpy as np  # whoever has an array has loaded it

    found = np.asarray(values).ravel()
    if found.dtype.kind not in "buif":
        raise _no_numbers(values)
    found = found.astype(np.float64, copy=False)
    finite = np.isfinite(found)
    missing = int(found.size - np.count_nonzero(finite))
    found = found[finite] if missing else found
    if not found.size:
        return _encoded([0.0], [0.0, 0.0], missing)
    low, high = _span(float(found.min()), float(found.max()))
    counts, edges = np.histogram(found, BINS, (low, high))
    return _encoded(counts.tolist(), edges.tolist(), missing)


def _counted(values: Sequence[float]) -> Encoded:
    finite = [each for each in values if math.isfinite(each)]
    missing = len(values) - len(finite)
    if not finite:
        return _encoded([0.0], [0.0, 0.0], missing)
    low, high = _span(min(finite), max(finite))
    width = (high - low) / BINS
    counts = [0] * BINS
    for each in finite:
        counts[min(BINS - 1, int((each - low) / width))] += 1
    return _encoded(counts, [low + width * place for place in range(BINS)] + [high], missing)


def _span(low: float, high: float) -> tuple[float, float]:
    """The first and last edge: equal values stand in the middle of a bin range, as wide as they can be told apart."""
    if math.isfinite(high - low) and high - low > abs(high) * 1e-12:
        return low, high
    if not math.isfinite(high - low):
        # Wider than a float can say: what lies outside counts into no bin.
        return max(low, -8e307), min(high, 8e307)
    half = max(0.5, abs(high) * 1e-6)
    return low - half, high + half


def _encoded(counts: Sequence[float], edges: Sequence[float], missing: int) -> Encoded:
    total = sum(counts)
    details = {"count": int(total), "bins": len(counts), "low": edges[0], "high": edges[-1]}
    if missing:
        details["not_finite"] = missing
    return Encoded(msgspec.json.encode({"counts": list(counts), "edges": list(edges)}), MIME, details)


def _floats(values: Any) -> list[float]:
    listed = getattr(values, "tolist", None)
    plain: Any = listed() if callable(listed) else values
    try:
        return [float(each) for each in plain]
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_numbers(values) from error


def _no_numbers(value: object) -> Invalid:
    return Invalid(
        f"{type(value).__name__} holds no numbers to count",
        code="run.bad_media",
        hint="Give numbers, or a pair of counts and edges.",
    )
