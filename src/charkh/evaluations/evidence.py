"""What a gate reads about a candidate and the champion: scores, certificates that count, and what lineage knows."""

import re
import time
from functools import cache

from charkh.core.events import Fact
from charkh.core.gates import Evidence
from charkh.core.refs import parse_subject
from charkh.evaluations.evaluation import Evaluation
from charkh.evaluations.index import LatestOn
from charkh.evaluations.stability.standing import PREFIX, standing
from charkh.lineage.index import FactsBehind
from charkh.ports.store import Store


def is_score(name: str) -> bool:
    """Whether a fact of this name is a score, which means something only together with its dataset."""
    return _score_pattern().fullmatch(name) is not None


@cache
def _score_pattern() -> re.Pattern[str]:
    # Here, because who can promote a model imports this, and only who judges one needs NumPy.
    from charkh.core.metrics import METRICS

    scores = "|".join((*METRICS, "rows", "ece", "precision", "recall", "f1"))
    return re.compile(rf"(?:slice\(.*\)\.)?(?:{scores})(?:\.(?:low|high|win_probability))?", re.DOTALL)


def evidence(store: Store, candidate: str, champion: str | None, on: str, *, moment: float | None = None) -> Evidence:
    """The facts for a gate that decides between a candidate and a champion on one dataset version.

    Scores come from the candidate's latest evaluation on `on`, preferably one against this champion; the champion's
    are those of that same comparison, and otherwise of its own latest evaluation on `on`. Scores from other data are
    left out, so that a condition on them is not met. What certificates of stability say counts for the version that
    they are about, and until they expire. Other facts come from lineage.

    Args:
        store: where the evaluations are.
        candidate: `model:id`.
        champion: `model:id`, or None (or empty) where there is none yet.
        on: the dataset version, `dataset:id`; empty where there is no evaluation, and then no score is known.
        moment: seconds since the epoch at which the gate decides; now by default.

    Raises:
        Invalid: a text is no subject.
    """
    for subject in filter(None, (candidate, on, champion)):
        parse_subject(subject)
    now = time.time() if moment is None else moment
    mine = _latest(store, candidate, on, champion or "") if on else None
    known = _unscored(store, candidate, now) | (mine.facts if mine is not None else {})
    if not champion:
        return Evidence(candidate=known)
    theirs = _latest(store, champion, on, "") if on else None
    rival = _unscored(store, champion, now) | (theirs.facts if theirs is not None else {})
    wins: dict[str, float] = {}
    if mine is not None and mine.made.champion == champion:
        for comparison in mine.made.comparisons:
            if comparison.champion is not None:
                rival[comparison.fact] = comparison.champion
            if comparison.win_probability is not None:
                wins[comparison.fact] = comparison.win_probability
    return Evidence(candidate=known, champion=rival, win_probability=wins)


def _latest(store: Store, subject: str, on: str, against: str) -> Evaluation | None:
    compared = store.queries.ask(LatestOn(subject=subject, on=on, against=against)) if against else None
    return compared or store.queries.ask(LatestOn(subject=subject, on=on))


def _unscored(store: Store, subject: str, moment: float) -> dict[str, Fact]:
    """What is known about a subject and behind it, but for scores; of certificates, those that count."""
    behind = store.queries.ask(FactsBehind(subject=subject))
    known = {fact.name: fact.value for fact in behind if not is_score(fact.name) and not fact.name.startswith(PREFIX)}
    return known | standing(store, subject, moment)
