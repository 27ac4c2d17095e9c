"""A curve with fewer points, for a screen: of every stretch the least and the greatest stay, so no spike is lost."""

from charkh.runs.history import Curve


def thin(curve: Curve, most: int) -> Curve:
    """At most `most` of the curve's points, its first and last among them; the curve itself where it has no more.

    Args:
        curve: in order of step.
        most: at least 4.
    """
    if len(curve) <= most:
        return curve
    import numpy as np  # readers of points alone need it; see `charkh.runs.points`

    edges = np.linspace(0, len(curve), max(1, (most - 2) // 2) + 1).astype(np.int64)
    starts = edges[:-1]
    missing = np.isnan(curve.values)
    low, high = np.where(missing, np.inf, curve.values), np.where(missing, -np.inf, curve.values)
    kept = {0, len(curve) - 1}
    for start, end in zip(starts.tolist(), edges[1:].tolist(), strict=True):
        kept.add(start + int(low[start:end].argmin()))
        kept.add(start + int(high[start:end].argmax()))
    chosen = np.array(sorted(kept))
    return Curve(
        key=curve.key,
        context=curve.context,
        writer=curve.writer,
        steps=curve.steps[chosen],
        times=curve.times[chosen],
        values=curve.values[chosen],
        attempts=curve.attempts[chosen],
    )
