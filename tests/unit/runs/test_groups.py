"""Groups of runs: seeds are not configurations, and a few of them prove little."""

import pytest

from charkh.core.errors import Invalid
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.store import Store
from charkh.runs.groups import Group, differing, group_runs, judge
from charkh.runs.index import PROJECTION
from charkh.runs.query import Field
from charkh.runs.query_parser import parse_fields
from charkh.runs.start import start
from charkh.testing.stores import memory_store

SCORE = parse_fields("score")


def trained(seeds: int, *, name: str = "seed") -> Store:
    store = memory_store(PROJECTION, LINEAGE)
    for model, gain in (("forest", 0.0), ("boost", 0.1)):
        for seed in range(seeds):
            params = {"model": model, "opt": {"rate": 0.1}, name: seed}
            with start(store, params=params, goals={"score": "max"}) as run:
                run.log({"score": 0.5, "peak": 1.0})
                run.log({"score": 0.6 + gain + seed / 100, "peak": 0.0})
    return store


def test_seeds_of_one_configuration_are_one_group() -> None:
    store = trained(3)
    groups = group_runs(store, metrics=parse_fields("score, max(metrics.peak)"))
    assert [each.config for each in groups] == [
        {"params.model": model, "params.opt.rate": "0.1"} for model in ("boost", "forest")
    ]
    assert differing(groups) == ("params.model",)
    told = groups[0].statistic("metrics.score")
    assert told is not None
    assert (told.n, told.mean, told.sd) == (3, pytest.approx(0.71), pytest.approx(0.01))
    assert told.low == pytest.approx(0.71 - 4.302653 * 0.01 / 3**0.5)
    assert (told.least, told.most) == (pytest.approx(0.7), pytest.approx(0.72))
    peak = groups[0].statistic("max(metrics.peak)")
    assert peak is not None
    assert (peak.mean, peak.sd) == (1.0, 0.0)
    assert groups[0].statistic("metrics.none") is None


def test_what_is_a_seed_may_be_said() -> None:
    store = trained(2, name="fold")
    assert len(group_runs(store, metrics=SCORE)) == 4
    assert len(group_runs(store, metrics=SCORE, seeds=["fold"])) == 2
    assert len(group_runs(store, metrics=SCORE, by=[Field("params", "opt.rate")])) == 1
    assert group_runs(store, "params.model = 'none'", metrics=SCORE) == ()
    (group,) = group_runs(trained(1), "params.model = 'boost'", metrics=SCORE, by=parse_fields("name, params.x"))
    assert group.config == {"name": None, "params.x": None}
    assert group.statistics[0].low is None
    with pytest.raises(Invalid, match="no metric is named"):
        group_runs(store, metrics=())


def two(seeds: int) -> tuple[Group, Group]:
    boost, forest = group_runs(trained(seeds), metrics=SCORE)
    return forest, boost


def test_enough_seeds_show_a_difference() -> None:
    forest, boost = two(8)
    verdict = judge(forest, boost, "metrics.score", greater_is_better=True)
    assert (verdict.pairs, verdict.wins, verdict.better) == (8, 8, "second")
    assert verdict.mean == pytest.approx(0.1)
    assert "the second is better" in verdict.words
    assert judge(forest, boost, "metrics.score", greater_is_better=False).better == "first"
    assert judge(boost, forest, "metrics.score", greater_is_better=True).better == "first"


def test_few_seeds_show_nothing_and_equal_ones_neither() -> None:
    forest, boost = two(4)
    verdict = judge(forest, boost, "metrics.score", greater_is_better=True)
    assert (verdict.wins, verdict.better) == (4, "")
    assert "can show nothing, however they fall" in verdict.words
    same = judge(boost, boost, "metrics.score", greater_is_better=True)
    assert (same.mean, same.better, same.p) == (0.0, "", 1.0)
    many, _ = two(7)
    assert "shows no difference" in judge(many, many, "metrics.score", greater_is_better=True).words


def test_without_common_seeds_nothing_is_paired() -> None:
    forest, boost = two(3)
    with pytest.raises(Invalid, match="no seed has a run of both"):
        judge(forest, boost, "metrics.none", greater_is_better=True)
