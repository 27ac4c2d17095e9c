"""Whether a metric strays from what it was: against the value before, the earlier values, or a season before.

Robust statistics (median, and median absolute deviation), so that one bad version in the past hides no other.
"""

import math
import statistics
from collections.abc import Sequence

from charkh.checks.table_rules import History

FEWEST = 5
"""Earlier values that deviations are measured by, at least."""
_MAD_OF_NORMAL = 1.4826
_SLACK = 0.01
"""The spread counts as this share of the median at least: a metric that never moved may move by a hair."""


def strays(values: Sequence[float], value: float, rule: History) -> str:
    """Why a value is no more what it was; empty when it is, or when there is too little history to say.

    Args:
        values: of earlier versions, the oldest first.
        value: of this one.
        rule: the bounds.
    """
    known = list(values[-rule.last :])
    if not known:
        return ""
    return _change(known[-1], value, rule) or _deviation(known, value, rule)


def _change(before: float, value: float, rule: History) -> str:
    if value == before:
        return ""
    change = (value - before) / abs(before) if before else math.copysign(math.inf, value - before)
    if rule.rise is not None and change > rule.rise:
        return f"{rule.metric} rose from {before:.6g} to {value:.6g} ({change:+.1%}), more than {rule.rise:.1%}"
    if rule.fall is not None and -change > rule.fall:
        return f"{rule.metric} fell from {before:.6g} to {value:.6g} ({change:+.1%}), more than {rule.fall:.1%}"
    return ""


def _deviation(known: Sequence[float], value: float, rule: History) -> str:
    if rule.deviations is None:
        return ""
    season = rule.season
    if season and len(known) >= season + FEWEST:
        changes = [known[place] - known[place - season] for place in range(season, len(known))]
        scale = abs(statistics.median(known))
        far = _distance(changes, value - known[-season], scale)
        words = f"what it was {season} versions before"
        usual = known[-season]
    elif len(known) >= FEWEST:
        usual = statistics.median(known)
        far = _distance(known, value, abs(usual))
        words = "the median of earlier versions"
    else:
        return ""
    if far <= rule.deviations:
        return ""
    return f"{rule.metric} is {value:.6g}, {far:.3g} deviations from {words}, {usual:.6g}"


def _distance(values: Sequence[float], value: float, scale: float) -> float:
    """In robust deviations."""
    middle = statistics.median(values)
    spread = _MAD_OF_NORMAL * statistics.median(abs(each - middle) for each in values)
    spread = max(spread, _SLACK * scale)
    gap = abs(value - middle)
    return gap / spread if spread else math.inf if gap else 0.0
