"""From a score to a probability by a curve of log odds that is smooth and, unlike others, may fall.

A model can be right about middling scores and too sure of higher ones; what only rises would pool the rows between, and
pairs of them would count as ties in the expected AUC. Straight lines between knots, with a price on how much their
slope changes (Eilers & Marx 1996, *Flexible smoothing with B-splines and penalties*), fitted to counts by bin; at a
high price it is Platt's sigmoid, and so it is beyond the scores that were seen.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KNOTS = 20
_PLACES = 200
"""Between the least and the greatest knot, where a knot may be."""
_FLAT = 1e-3
_STEPS = 30


def fit_spline(line: Floats, rows: Floats, targets: Floats, stiffness: float) -> tuple[Floats, Floats]:
    """Knots, and the log odds at them for each of several counts of the same bins.

    Args:
        line: mean score, or its log odds, by bin, ascending.
        rows: by count and bin.
        targets: of the rows, by count and bin, that are positive; of each count some, and not all.
        stiffness: the price of one unit of squared change of the slope, in nats, for scores of deviation 1.
    """
    share = targets.sum(axis=1) / rows.sum(axis=1)
    knots = _knots(line, rows.sum(axis=0))
    hats = np.stack([np.interp(line, knots, each) for each in np.eye(len(knots))], axis=1)
    # Of the hats, only neighbours overlap: their products have one diagonal, and one beside it.
    same, next_to = hats**2, hats[:, :-1] * hats[:, 1:]
    at = np.arange(len(knots))
    price = _price(knots, stiffness, line, rows.sum(axis=0))
    values: Floats = np.repeat(np.log(share / (1 - share))[:, np.newaxis], len(knots), axis=1)
    for _ in range(_STEPS):
        guess = 1 / (1 + np.exp(-np.clip(values @ hats.T, -500, 500)))
        weight = rows * np.maximum(guess * (1 - guess), 1e-9)
        matrix = np.repeat(price[np.newaxis], len(rows), axis=0)
        matrix[:, at, at] += weight @ same
        beside = weight @ next_to
        matrix[:, at[:-1], at[1:]] += beside
        matrix[:, at[1:], at[:-1]] += beside
        up = (targets - rows * guess) @ hats - values @ price
        step = np.linalg.solve(matrix, up[:, :, np.newaxis])[:, :, 0]
        values = values + np.clip(step, -3, 3)
        if float(np.abs(step).max()) < 1e-4:
            break
    return knots, values


def _knots(line: Floats, rows: Floats) -> Floats:
    """At about equal masses of rows, none too near the next, and one far out on either side: there the line goes on."""
    reached = (np.cumsum(rows) - rows / 2) / rows.sum()
    at = np.interp(np.linspace(0, 1, KNOTS), reached, line)
    low, width = float(at[0]), float(at[-1] - at[0]) or 1.0
    inner = low + np.unique(np.round((at - low) / width * _PLACES)) * width / _PLACES
    return np.concatenate([[low - width], inner, [low + 2 * width]])


def _price(knots: Floats, stiffness: float, line: Floats, rows: Floats) -> Floats:
    """The matrix of the squared second derivative of what is linear between knots, and a little of that of the first.

    Without the little, nothing would say how it goes on beside a single score.
    """
    share = rows / rows.sum()
    scale = float(np.sqrt(share @ (line - share @ line) ** 2)) or 1.0
    apart = np.diff(knots) / scale
    slopes = np.diff(np.eye(len(knots)), axis=0) / apart[:, np.newaxis]
    bends = np.diff(slopes, axis=0) / np.sqrt((apart[:-1] + apart[1:]) / 2)[:, np.newaxis]
    return stiffness * bends.T @ bends + _FLAT * (slopes.T * apart) @ slopes
