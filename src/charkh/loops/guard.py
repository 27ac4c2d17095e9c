"""The guard: a gate over the evidence about a candidate and the champion, and a promotion only where it is met."""

from collections.abc import Callable, Mapping, Sequence

from charkh.core.config import GateSettings
from charkh.core.gates import Evidence, Verdict, judge, parse_condition
from charkh.evaluations.evidence import evidence
from charkh.ports.store import Store

Governed = Callable[[str], Mapping[str, Verdict]]
"""What is judged elsewhere about a candidate (its id), by condition: approvals, signatures, what the registry asks."""


def nothing_governed(_candidate: str) -> Mapping[str, Verdict]:
    """Where there are no rules but the gate's."""
    return {}


def guard(
    store: Store,
    gate: GateSettings,
    candidate: str,
    champion: str,
    judged_on: str,
    governed: Mapping[str, Verdict] | None = None,
    *,
    moment: float | None = None,
) -> tuple[tuple[Verdict, ...], Evidence]:
    """What each condition of the gate comes to.

    Args:
        store: where the evaluations are.
        gate: its conditions.
        candidate: subject of the candidate, `model:id`.
        champion: subject of the champion, or empty where there is none.
        judged_on: subject of the dataset version that both were evaluated on, or empty where they were not.
        governed: by condition, what has been judged elsewhere; those that the gate does not name come last.
        moment: seconds since the epoch at which it decides, for certificates that expire; now by default.
    """
    known = evidence(store, candidate, champion or None, judged_on, moment=moment)
    said = dict(governed or {})
    verdicts = [
        said.pop(text.strip()) if text.strip() in said else judge([parse_condition(text)], known)[0]
        for text in gate.require
    ]
    return (*verdicts, *said.values()), known


def told(verdicts: Sequence[Verdict]) -> str:
    """The verdicts in a sentence: what was not met, or that all was."""
    missed = [f"{verdict.condition}: {verdict.reason}" for verdict in verdicts if not verdict.met]
    if missed:
        return "not met: " + "; ".join(missed)
    if len(verdicts) == 1:
        return f"{verdicts[0].condition} is met"
    return f"all {len(verdicts)} conditions are met" if verdicts else "the gate asks for nothing"
