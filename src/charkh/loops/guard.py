"""The guard: a gate over the evidence about a candidate and the champion, and a promotion only where it is met."""

from collections.abc import Sequence

from charkh.core.config import GateSettings
from charkh.core.gates import Evidence, Verdict, judge, parse_condition
from charkh.evaluations.evidence import evidence
from charkh.ports.store import Store


def guard(
    store: Store, gate: GateSettings, candidate: str, champion: str, judged_on: str
) -> tuple[tuple[Verdict, ...], Evidence]:
    """What each condition of the gate comes to.

    Args:
        store: where the evaluations are.
        gate: its conditions.
        candidate: subject of the candidate, `model:id`.
        champion: subject of the champion, or empty where there is none.
        judged_on: subject of the dataset version that both were evaluated on.
    """
    known = evidence(store, candidate, champion or None, judged_on)
    return judge([parse_condition(text) for text in gate.require], known), known


def told(verdicts: Sequence[Verdict]) -> str:
    """The verdicts in a sentence: what was not met, or that all was."""
    missed = [f"{verdict.condition}: {verdict.reason}" for verdict in verdicts if not verdict.met]
    if missed:
        return "not met: " + "; ".join(missed)
    if len(verdicts) == 1:
        return f"{verdicts[0].condition} is met"
    return f"all {len(verdicts)} conditions are met" if verdicts else "the gate asks for nothing"
