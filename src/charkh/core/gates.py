"""The gate grammar: conditions over typed facts, as they stand in `charkh.toml`.

    checks.ok                       the fact is true
    auc >= 0.7                      the fact compares with a number
    psi > 0.2                       the same words, as an alert
    auc > champion                  the fact compares with the champion's
    auc > champion @95%             and is so with this confidence, by the paired comparison
    slice(origin).auc >= 0.6        in every slice of `origin`
    approvals >= 2 by reviewer      so many people with that role have approved

A gate knows no noun: it reads facts by name. A condition whose fact is missing is not met, and says so.
"""

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from charkh.core.errors import Invalid
from charkh.core.events import Fact

CHAMPION = "champion"
APPROVALS = "approvals"

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = re.compile(
    r"\s*(?:slice\((?P<slice>[\w.\-]+)\)\.)?(?P<fact>[A-Za-z_][\w.\-]*)"
    r"(?:\s*(?P<op>>=|<=|==|!=|>|<)\s*(?P<right>champion|[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)"
    r"(?:\s*@\s*(?P<confidence>[0-9.]+)%)?(?:\s+by\s+(?P<by>[\w.@:+\-]+))?)?\s*"
)


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One parsed condition.

    Attributes:
        text: as the user wrote it.
        fact: name of the fact, such as `auc` or `checks.ok`.
        slice_by: the column whose every slice must meet the condition, or empty.
        operator: one of the six comparisons, or empty when the fact must be true.
        value: the number on the right; ignored when `against_champion`.
        against_champion: the right side is the champion's own fact.
        confidence: the confidence in (0, 1) that the comparison needs, or 0.
        by: who must have approved, for `approvals`; empty for anybody.
    """

    text: str
    fact: str
    slice_by: str = ""
    operator: str = ""
    value: float = 0.0
    against_champion: bool = False
    confidence: float = 0.0
    by: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one condition came to: met or not, and the numbers that say why."""

    condition: str
    met: bool
    reason: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that a gate reads.

    Attributes:
        candidate: facts about the candidate; a slice's fact is named `slice(column=value).fact`.
        champion: the champion's facts, or None when there is no champion yet.
        win_probability: by fact, the probability that the candidate is truly better, from a paired
            comparison on the same rows; a fact that is not in it has not been compared.
    """

    candidate: Mapping[str, Fact]
    champion: Mapping[str, Fact] | None = None
    win_probability: Mapping[str, float] = {}


def parse_condition(text: str) -> Condition:
    """Parse one condition.

    Raises:
        Invalid: it is not of the grammar.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise Invalid(
            f"cannot read the condition {text!r}",
            code="gate.invalid",
            hint="Write e.g. 'auc > champion @95%', 'slice(origin).auc >= 0.6' or 'checks.ok'.",
        )
    right = match["right"] or ""
    confidence = float(match["confidence"]) / 100 if match["confidence"] else 0.0
    if confidence and (right != CHAMPION or not 0.5 <= confidence < 1):
        raise Invalid(
            f"the confidence in {text!r} has no meaning",
            code="gate.invalid",
            hint="Use a confidence from 50% up to below 100%, and only against the champion.",
        )
    if confidence and match["op"] not in {">", ">="}:
        raise Invalid(
            f"{text!r} asks for a confident {match['op']!r}",
            code="gate.invalid",
            hint="A confidence goes with '>' or '>=': the facts of an evaluation are better when greater.",
        )
    if match["by"] and (match["fact"] != APPROVALS or match["slice"] or right == CHAMPION):
        raise Invalid(
            f"{text!r} asks who something is by",
            code="gate.invalid",
            hint="Only approvals are by somebody: 'approvals >= 2 by reviewer'.",
        )
    return Condition(
        text=text.strip(),
        fact=match["fact"],
        slice_by=match["slice"] or "",
        operator=match["op"] or "",
        value=0.0 if right in {"", CHAMPION} else float(right),
        against_champion=right == CHAMPION,
        confidence=confidence,
        by=match["by"] or "",
    )


def judge(conditions: Sequence[Condition], evidence: Evidence) -> tuple[Verdict, ...]:
    """What each condition comes to on the evidence."""
    return tuple(_judge_one(condition, evidence) for condition in conditions)


def _judge_one(condition: Condition, evidence: Evidence) -> Verdict:
    names = _fact_names(condition, evidence.candidate)
    if not names:
        near = difflib.get_close_matches(condition.fact, evidence.candidate, n=3)
        like = f"; there is {', '.join(near)}" if near else ""
        return _verdict(condition, False, f"no fact {condition.fact!r} is known{like}")
    for name in names:
        verdict = _judge_fact(condition, name, evidence)
        if not verdict.met:
            return verdict
    if condition.slice_by:
        return _verdict(condition, True, f"met in all {len(names)} slices of {condition.slice_by}")
    return _judge_fact(condition, names[0], evidence)


def _fact_names(condition: Condition, facts: Mapping[str, Fact]) -> list[str]:
    if not condition.slice_by:
        return [condition.fact] if condition.fact in facts else []
    pattern = re.compile(rf"slice\({re.escape(condition.slice_by)}=.*\)\.{re.escape(condition.fact)}")
    return sorted(name for name in facts if pattern.fullmatch(name))


def _judge_fact(condition: Condition, name: str, evidence: Evidence) -> Verdict:
    value = evidence.candidate[name]
    if not condition.operator:
        return _verdict(condition, value is True, f"{name} is {value}")
    if isinstance(value, str):
        return _verdict(condition, False, f"{name} is the text {value!r}, not a number")
    right = condition.value
    if condition.against_champion:
        if evidence.champion is None:
            return _verdict(condition, True, "there is no champion to beat yet")
        rival = evidence.champion.get(name)
        if rival is None or isinstance(rival, str):
            return _verdict(condition, False, f"the champion has no number {name!r} to compare with")
        right = rival
    met = _OPERATORS[condition.operator](value, right)
    reason = f"{name} is {value:.6g}, needs {condition.operator} {right:.6g}"
    if not condition.confidence or not condition.against_champion:
        return _verdict(condition, met, reason)
    probability = evidence.win_probability.get(name)
    if probability is None:
        return _verdict(condition, False, f"{name} was not compared with the champion on the same rows")
    sure = met and probability >= condition.confidence
    return _verdict(
        condition, sure, f"{reason}; better with probability {probability:.3f}, needs {condition.confidence:.2f}"
    )


def _verdict(condition: Condition, met: bool, reason: str) -> Verdict:
    return Verdict(condition=condition.text, met=met, reason=reason)
