"""Recording evaluations, what gates read of them, and comparing them."""

from typing import Any

import msgspec
import numpy as np
import pytest

from charkh.core.errors import Invalid, NotFound
from charkh.core.events import Draft, Edge
from charkh.core.gates import judge, parse_condition
from charkh.evaluations.compare import compare
from charkh.evaluations.details import read_details
from charkh.evaluations.evaluation import Evaluation
from charkh.evaluations.evidence import evidence, is_score
from charkh.evaluations.find import find
from charkh.evaluations.index import (
    PROJECTION,
    EvaluationById,
    Evaluations,
    EvaluationsOf,
    LatestOn,
    LooksAt,
)
from charkh.evaluations.score import Rival, evaluate
from charkh.evaluations.spread import spread
from charkh.evaluations.stability.index import PROJECTION as STABILITY
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, FactsAbout, HeldDigests
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

ROWS = 400
DAY = np.arange(ROWS) // 20
ORIGIN = np.where(np.arange(ROWS) % 2, "JFK", "EWR")


def truth() -> Any:
    return (np.random.default_rng(7).random(ROWS) < 0.4).astype(int)


def guess(skill: float, seed: int = 1) -> Any:
    """Probabilities; the greater the skill, the better."""
    noise = np.random.default_rng(seed).normal(size=ROWS)
    return 1 / (1 + np.exp(-(skill * (truth() - 0.4) + noise)))


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, STABILITY, LINEAGE)


def score(store: Store, about: str, skill: float, *, on: str = "dataset:june", **more: Any) -> Evaluation:
    given = {"blocks": DAY, "slices": {"origin": ORIGIN}, "rounds": 100, "model": "delay", **more}
    return evaluate(store, about=about, truth=truth(), scores=guess(skill), on=on, **given)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    text: str = ""


def say(store: Store, subject: str, about: str = "", edges: dict[str, str] | None = None, **facts: Any) -> None:
    named = {name.replace("__", "."): value for name, value in facts.items()}
    drawn = tuple(Edge(subject, relation, target) for relation, target in (edges or {}).items())
    store.record(Draft(kind="thing.said/1", subject=subject, body=Said(), edges=drawn, facts=named, about=about))


def test_an_evaluation_is_recorded_with_its_edges_and_facts(store: Store) -> None:
    rival = Rival("model:old", guess(0.2, seed=2))
    made = score(store, "model:new", 2.0, champion=rival, run="r1")
    assert {(edge.relation, edge.target) for edge in store.queries.ask(EdgesFrom(subject=made.subject))} == {
        ("scores", "model:new"),
        ("on", "dataset:june"),
        ("against", "model:old"),
        ("asked_by", "run:r1"),
    }
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject="model:new"))}
    assert facts == made.facts
    assert facts["rows"] == ROWS
    assert facts["auc.win_probability"] == 1.0
    assert facts["slice(origin=JFK).rows"] == ROWS // 2
    assert made.made.details.held in store.queries.ask(HeldDigests())
    assert (made.made.blocks, made.made.independent, made.made.positives) == (20, False, int(truth().sum()))


def test_details_are_read_from_the_vault(store: Store) -> None:
    made = score(store, "model:new", 1.0, min_rows=300)
    details = read_details(store, made)
    assert details.scores == made.made.scores
    assert [part.value for part in details.slices] == ["EWR", "JFK"]
    assert made.made.unpublished == made.made.slices == 2
    assert details.calibration is not None
    assert len(details.blocks) == 20
    chunks: dict[str, bytes] = store.vault._chunks  # type: ignore[attr-defined]
    chunks[made.made.details.digest] = b"[erased]"
    with pytest.raises(NotFound, match="erased"):
        read_details(store, made)


def test_a_subject_that_is_none_is_refused_before_anything_is_written(store: Store) -> None:
    with pytest.raises(Invalid):
        score(store, "delay@3", 1.0)
    with pytest.raises(Invalid):
        score(store, "model:new", 1.0, on="june")
    assert store.queries.ask(Evaluations()) == ()


def test_queries(store: Store) -> None:
    old = score(store, "model:old", 1.0)
    new = score(store, "model:new", 2.0, champion=Rival("model:old", guess(1.0)))
    july = score(store, "model:new", 2.0, on="dataset:july")
    ask = store.queries.ask
    assert ask(EvaluationById(evaluation=old.id)) == old
    assert ask(EvaluationById(evaluation="0" * 32)) is None
    assert ask(Evaluations()) == (july, new, old)
    assert ask(Evaluations(model="other")) == ()
    assert ask(Evaluations(limit=1)) == (july,)
    assert ask(EvaluationsOf(subject="model:new")) == (july, new)
    assert ask(LatestOn(subject="model:new", on="dataset:june")) == new
    assert ask(LatestOn(subject="model:new", on="dataset:june", against="model:old")) == new
    assert ask(LatestOn(subject="model:old", on="dataset:june", against="model:old")) is None


def test_looks_at_one_truth_are_counted(store: Store) -> None:
    for about in ("model:a", "model:b", "model:b"):
        score(store, about, 1.0, champion=Rival("model:old", guess(0.5)))
    score(store, "model:c", 1.0, model="price")
    score(store, "model:d", 1.0, on="dataset:july")
    looks = store.queries.ask(LooksAt(on="dataset:june"))
    assert (looks.evaluations, looks.subjects) == (4, 3)
    looks = store.queries.ask(LooksAt(on="dataset:june", model="delay"))
    assert (looks.evaluations, looks.subjects) == (3, 2)
    assert store.queries.ask(LooksAt(on="dataset:june", model="delay", champion="model:other")).evaluations == 0


def test_evaluations_are_found_by_the_beginning_of_their_id(store: Store) -> None:
    made = score(store, "model:new", 1.0)
    assert find(store, made.subject) == find(store, made.id) == find(store, made.id[:30]) == made
    score(store, "model:new", 1.0)
    with pytest.raises(Invalid, match="begin with"):
        find(store, made.id[:2])
    for ref in ("", "ffff", "evaluation:"):
        with pytest.raises(NotFound):
            find(store, ref)


def test_an_evaluation_is_portrayed(store: Store) -> None:
    made = score(store, "model:new", 2.0, champion=Rival("model:old", guess(0.1, seed=3)))
    description = store.queries.ask(Describe(subject=made.subject))
    assert description is not None
    assert description.title == "evaluation of delay"
    lines = dict(description.lines)
    assert lines["rows"] == str(ROWS)
    assert "20 blocks" in lines["resampled"]
    assert " to " in lines["auc"]
    assert "1.000" in lines["auc against the champion"]
    assert store.queries.ask(Describe(subject="evaluation:" + "0" * 32)) is None


def verdicts(store: Store, *conditions: str, candidate: str = "model:new", champion: str | None = "model:old") -> Any:
    known = evidence(store, candidate, champion, "dataset:june")
    return [verdict.met for verdict in judge([parse_condition(text) for text in conditions], known)]


GATE = ("auc > champion @95%", "slice(origin).auc >= 0.6", "checks.ok", "card.complete")


def test_a_gate_is_met_by_the_paired_comparison_and_by_what_lineage_knows(store: Store) -> None:
    say(store, "check:1", about="dataset:spring", checks__ok=True)
    say(store, "model:new", edges={"trained_on": "dataset:spring"})
    say(store, "card:1", about="model:new", card__complete=True)
    score(store, "model:old", 0.2)
    score(store, "model:new", 3.0, champion=Rival("model:old", guess(0.2)))
    assert verdicts(store, *GATE) == [True] * 4
    assert verdicts(store, "slice(origin).auc > champion @95%", "log_loss < champion") == [True, True]
    assert verdicts(store, *GATE, candidate="model:old", champion="model:new")[0] is False


def test_scores_from_elsewhere_are_no_evidence(store: Store) -> None:
    say(store, "model:new", auc=0.99, auc__low=0.98, rows=5)
    score(store, "model:new", 3.0, on="dataset:spring")
    assert verdicts(store, "auc > 0.5", "auc > champion", champion=None) == [False, False]
    known = evidence(store, "model:new", None, "dataset:june")
    assert known.candidate == {}
    assert known.champion is None


def test_the_latest_scores_of_another_dataset_do_not_hide_those_of_this_one(store: Store) -> None:
    june = score(store, "model:new", 3.0)
    score(store, "model:new", 0.1, on="dataset:july")
    assert evidence(store, "model:new", None, "dataset:june").candidate == june.facts


def test_without_a_comparison_a_confidence_is_not_met(store: Store) -> None:
    score(store, "model:old", 0.2)
    score(store, "model:new", 3.0)
    assert verdicts(store, "auc > champion", "auc > champion @95%") == [True, False]


def test_a_comparison_with_a_former_champion_does_not_count(store: Store) -> None:
    score(store, "model:new", 3.0, champion=Rival("model:older", guess(0.1)))
    assert verdicts(store, "auc > champion @95%", "auc > champion") == [False, False]


def test_the_comparison_with_this_champion_is_preferred_to_a_later_evaluation(store: Store) -> None:
    compared = score(store, "model:new", 3.0, champion=Rival("model:old", guess(0.1)))
    score(store, "model:new", 2.0)
    known = evidence(store, "model:new", "model:old", "dataset:june")
    assert known.candidate["auc"] == compared.facts["auc"]
    assert known.win_probability["auc"] == 1.0
    assert known.champion is not None
    assert known.champion["auc"] == compared.made.comparisons[0].champion


def test_no_champion_yet(store: Store) -> None:
    score(store, "model:new", 3.0)
    assert verdicts(store, "auc > champion @95%", champion=None) == [True]
    assert verdicts(store, "auc > champion @95%", champion="") == [True]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("auc", True),
        ("auc.low", True),
        ("slice(origin=JFK).auc", True),
        ("slice(x=a).b).rows", True),
        ("log_loss.win_probability", True),
        ("checks.ok", False),
        ("card.complete", False),
        ("psi", False),
        ("auc_of_something", False),
        ("rows_failed", False),
    ],
)
def test_which_facts_are_scores(name: str, wanted: bool) -> None:
    assert is_score(name) is wanted


def test_two_evaluations_side_by_side(store: Store) -> None:
    old = score(store, "model:old", 0.2)
    new = score(store, "model:new", 3.0, champion=Rival("model:old", guess(0.2)))
    found = compare(new, old)
    assert found.same_data
    assert found.same_rows
    auc, loss, _ = found.differences
    assert (auc.metric, auc.better, auc.overlap, auc.win_probability) == ("auc", "first", False, 1.0)
    assert loss.better == "first"
    assert loss.difference is not None and loss.difference < 0
    back = compare(old, new).differences[0]
    assert (back.better, back.win_probability) == ("second", 0.0)
    same = compare(old, old).differences[0]
    assert (same.difference, same.better, same.overlap) == (0.0, "", True)


def test_evaluations_of_different_rows_are_said_to_be_so(store: Store) -> None:
    old = score(store, "model:old", 0.2)
    other = evaluate(
        store, about="model:new", truth=truth()[:300], scores=guess(1.0)[:300], on="dataset:july",
        metrics=("auc", "accuracy"), rounds=50,
    )  # fmt: skip
    found = compare(other, old)
    assert not found.same_data
    assert not found.same_rows
    by_metric = {difference.metric: difference for difference in found.differences}
    assert by_metric["accuracy"].second is None
    assert by_metric["accuracy"].difference is None
    assert by_metric["log_loss"].first is None


def test_the_spread_over_seeds(store: Store) -> None:
    made = [
        evaluate(store, about="model:new", truth=truth(), scores=guess(1.0, seed), on="dataset:june", rounds=20)
        for seed in (1, 2, 3)
    ]
    auc = spread(made)[0]
    values = [each.facts["auc"] for each in made]
    assert (auc.metric, auc.count, auc.low, auc.high) == ("auc", 3, min(values), max(values))
    assert auc.mean == pytest.approx(np.mean(values))
    assert auc.std == pytest.approx(np.std(values, ddof=1))
    assert spread(made[:1])[0].std is None


def test_the_catalog_is_a_function_of_the_set_of_events(store: Store) -> None:
    made = [score(store, f"model:{name}", 1.0, champion=Rival("model:a", guess(0.5)), rounds=5) for name in "abcb"]
    answers = [
        Evaluations(),
        EvaluationsOf(subject="model:b"),
        LatestOn(subject="model:b", on="dataset:june"),
        LooksAt(on="dataset:june"),
        *(Describe(subject=each.subject) for each in made),
    ]
    assert_order_free([PROJECTION], payloads_of(store), answers)


def test_answers_survive_json(store: Store) -> None:
    made = score(store, "model:new", 2.0, champion=Rival("model:old", guess(0.1)))
    assert msgspec.json.decode(msgspec.json.encode(made), type=Evaluation) == made
