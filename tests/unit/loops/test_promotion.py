"""A promotion that somebody asks for: judged on the evidence, written down either way, and never over a colleague's."""

from collections.abc import Mapping
from typing import Any

import pytest

from charkh.core.config import GateSettings
from charkh.core.errors import Invalid
from charkh.core.gates import Verdict, parse_condition
from charkh.loops import promotion
from charkh.loops.index import DecisionById, Decisions, Loops
from charkh.loops.loop import Decision, Trigger
from charkh.loops.promotion import promote_on_evidence
from charkh.models.alias import holder_of, move_alias
from charkh.ports.store import Store
from unit.loops.conftest import Retraining

GATE = GateSettings(require=("auc >= 0.6",))


def holder(store: Store, alias: str) -> str:
    held = holder_of(store, "delay", alias)
    return "" if held is None or held.version is None else held.version.ref


def test_the_newest_evaluation_decides_and_the_decision_names_it(store: Store, retrain: Retraining) -> None:
    candidate = retrain(Trigger())
    decision = promote_on_evidence(store, candidate.model, "strict", GATE, alias="production", reason="release 12")
    decided = decision.decided
    assert (decided.outcome, decided.alias, decided.gate, decided.loop) == ("promoted", "production", "strict", "")
    assert decided.judged_on == candidate.judged_on
    assert "release 12" in decided.reason
    assert holder(store, "production") == "delay@1"
    assert store.queries.ask(Decisions()) == (decision,)
    assert store.queries.ask(Loops()) == (), "a person is no loop"


def test_a_refusal_is_written_down_and_moves_nothing(store: Store, retrain: Retraining) -> None:
    candidate = retrain(Trigger())
    gate = GateSettings(require=("auc >= 0.999999",))
    decision = promote_on_evidence(store, candidate.model, "strict", gate, alias="production")
    assert decision.decided.outcome == "refused"
    assert holder(store, "production") == ""
    dry = promote_on_evidence(store, candidate.model, "strict", GATE, alias="production", dry=True)
    assert dry.decided.outcome == "promoted"
    assert store.queries.ask(Decisions()) == (decision,)


def test_what_is_judged_elsewhere_counts_too(store: Store, retrain: Retraining) -> None:
    gate = GateSettings(require=("auc >= 0.6", "approvals >= 1"))
    candidate = retrain(Trigger())

    def governed(_candidate: str) -> Mapping[str, Verdict]:
        said = ("approvals >= 1", "signed")
        return {text: Verdict(condition=text, met=text != "signed", reason="looked") for text in said}

    decided = promote_on_evidence(store, candidate.model, "strict", gate, governed=governed).decided
    assert [(each.condition, each.met) for each in decided.verdicts] == [
        ("auc >= 0.6", True),
        ("approvals >= 1", True),
        ("signed", False),
    ]
    assert decided.outcome == "refused"
    alone = promote_on_evidence(store, candidate.model, "strict", gate).decided
    assert alone.outcome == "refused", "an approval that nobody counted is not there"


def test_whoever_moves_the_alias_meanwhile_wins_and_the_decision_says_so(
    store: Store, retrain: Retraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = retrain(Trigger()), retrain(Trigger())
    real = promotion.write_down

    def interrupted(*given: Any) -> Decision:
        written = real(*given)
        move_alias(store, first.model, "production", reason="a colleague")
        return written

    monkeypatch.setattr(promotion, "write_down", interrupted)
    decision = promote_on_evidence(store, second.model, "strict", GATE, alias="production")
    assert decision.decided.outcome == "superseded"
    assert store.queries.ask(DecisionById(decision=decision.id)) == decision
    assert holder(store, "production") == "delay@1"


def test_only_approvals_are_by_somebody() -> None:
    condition = parse_condition("approvals >= 2 by role:reviewer")
    assert (condition.fact, condition.value, condition.by) == ("approvals", 2.0, "role:reviewer")
    for text in ("auc >= 0.7 by ann", "approvals by ann", "approvals >= champion by ann", "approvals >= 2 by"):
        with pytest.raises(Invalid):
            parse_condition(text)
