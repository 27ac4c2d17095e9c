"""Many columns at once: what is alike raises no alarm as often as the level says, and what is not is found."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from charkh.core.errors import Invalid
from charkh.monitors.multivariate.judge import Multivariate, multivariate
from charkh.monitors.multivariate.mmd import Waves, median_distance
from charkh.monitors.permutation import groups_of, permute
from charkh.monitors.trees import binning_of, boost

Floats = npt.NDArray[np.float64]


def table(count: int, random: np.random.Generator, *, bond: float = 0.0, shift: float = 0.0) -> pl.DataFrame:
    first = random.normal(0, 1, count)
    second = bond * first + np.sqrt(1 - bond**2) * random.normal(0, 1, count)
    return pl.DataFrame(
        {"first": first + shift, "second": second, "kind": random.choice(["x", "y", "z"], count)},
        schema_overrides={"kind": pl.String},
    )


def days(count: int, rows: int, random: np.random.Generator, first: int = 0) -> pl.DataFrame:
    """Rows of a day share most of what makes them, so that a day of a thousand rows tells little more than one row."""
    weather = np.repeat(random.normal(0, 1, count), rows)
    return pl.DataFrame(
        {
            "day": np.repeat(np.arange(first, first + count), rows),
            "wind": weather + random.normal(0, 0.3, count * rows),
            "rain": weather + random.normal(0, 0.3, count * rows),
        }
    )


def p_values(found: Sequence[Multivariate]) -> dict[str, Floats]:
    names = [test.name for test in found[0].tests]
    return {name: np.array([test.p for each in found for test in each.tests if test.name == name]) for name in names}


def of(found: Multivariate, name: str) -> Any:
    return next(test for test in found.tests if test.name == name)


def test_equal_distributions_are_told_apart_no_more_often_than_the_level_says() -> None:
    found = list[Multivariate]()
    for seed in range(50):
        random = np.random.default_rng(seed)
        found.append(multivariate(table(300, random), table(120, random), rounds=59, seed=seed))
    for name, p in p_values(found).items():
        # 50 draws at 0.1: 12 or more have a probability of 0.3 %.
        assert np.count_nonzero(p <= 0.1) < 12, name
        assert p.min() >= 1 / 60, "an observed labelling is one of the permutations, so p is never 0"
        assert np.count_nonzero(p > 0.5) > 12, "the null is of both samples: p spreads over its range"


def test_days_that_share_their_weather_raise_no_false_alarm_when_they_are_the_blocks() -> None:
    found, naive = list[Multivariate](), list[Multivariate]()
    for seed in range(12):
        random = np.random.default_rng(seed)
        before, after = days(30, 20, random), days(10, 20, random, first=30)
        found.append(multivariate(before, after, block="day", rounds=59, seed=seed))
        rows = [side.drop("day").sample(fraction=1.0, shuffle=True, seed=seed) for side in (before, after)]
        naive.append(multivariate(rows[0], rows[1], methods=["mmd"], rounds=59, seed=seed))
    for name, p in p_values(found).items():
        assert np.count_nonzero(p <= 0.05) <= 3, name
    assert np.count_nonzero(p_values(naive)["mmd"] <= 0.05) >= 8, "rows taken as independent drift by weather alone"


def test_runs_of_neighbours_stay_together_when_nothing_says_what_rows_share() -> None:
    drifted = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        noise = random.normal(0, 1, 1280)
        for at in range(1, len(noise)):
            noise[at] += 0.7 * noise[at - 1]
        series = pl.DataFrame({"load": noise})
        drifted += multivariate(series[:640], series[640:], methods=["mmd"], rounds=59, seed=seed).tests[0].p <= 0.05
    assert drifted <= 5


def test_a_bond_between_columns_whose_own_distributions_stay_is_found() -> None:
    random = np.random.default_rng(5)
    found = multivariate(table(2000, random), table(600, random, bond=0.8), rounds=199)
    assert of(found, "mmd").drifted
    assert of(found, "domain").drifted
    assert 0.65 < of(found, "domain").effect < 0.9
    assert found.facts()["mmd"] == of(found, "mmd").effect > 0.03
    assert found.facts()["mmd.p"] == pytest.approx(1 / 200)
    assert found.columns == ("first", "second", "kind")


def test_what_can_be_chance_is_a_fact_of_no_difference() -> None:
    random = np.random.default_rng(7)
    facts = multivariate(table(400, random), table(200, random), rounds=99).facts()
    assert facts["mmd"] == 0.0
    assert facts["domain.auc"] == 0.5
    assert isinstance(facts["domain.p"], float)
    assert facts["domain.p"] > 0.01


def test_columns_of_vectors_are_compared_by_mean_covariance_and_as_wholes() -> None:
    random = np.random.default_rng(3)
    plain, stretched = random.normal(0, 1, (600, 24)), random.normal(0, 1, (600, 24))
    stretched[:, :4] *= 2.5
    sides = [pl.DataFrame({"text": each.tolist()}) for each in (plain, random.normal(0, 1, (600, 24)), stretched)]
    alike = multivariate(sides[0], sides[1], embedding="text", rounds=199)
    other = multivariate(sides[0], sides[2], embedding="text", rounds=199)
    assert not any(test.drifted for test in alike.tests)
    assert {test.name for test in other.tests if test.drifted} >= {"embedding.covariance", "embedding.domain"}
    assert not of(other, "embedding.mean").drifted
    moved = multivariate(sides[0], pl.DataFrame({"text": (plain + 0.5).tolist()}), embedding="text", rounds=199)
    assert of(moved, "embedding.mean").drifted
    assert of(moved, "embedding.mmd").drifted
    assert not of(moved, "embedding.covariance").drifted
    assert moved.facts()["embedding.domain.auc"] == of(moved, "embedding.domain").effect


def test_the_same_rows_and_seed_give_the_same_numbers() -> None:
    first = multivariate(table(200, np.random.default_rng(1)), table(100, np.random.default_rng(2)), rounds=39)
    again = multivariate(table(200, np.random.default_rng(1)), table(100, np.random.default_rng(2)), rounds=39)
    assert first == again


def test_few_rows_and_no_shared_column_are_said_and_not_judged() -> None:
    random = np.random.default_rng(1)
    few = multivariate(table(400, random), table(20, random))
    assert few.tests == ()
    assert few.refused == {"mmd": "20 rows are fewer than 50", "domain": "20 rows are fewer than 50"}
    apart = multivariate(table(100, random).select("kind"), table(100, random).select("first"))
    assert set(apart.refused) == {"mmd", "domain"}
    one_day = multivariate(days(2, 60, random), days(2, 60, random), block="day", methods=["domain"])
    assert "too few" in one_day.refused["domain"]


def test_one_live_day_of_few_is_said_to_prove_nothing() -> None:
    random = np.random.default_rng(1)
    found = multivariate(days(20, 30, random), days(1, 60, random, first=20), block="day", methods=["mmd"])
    assert found.refused == {"mmd": "1 of 21 groups of rows are live, of 999 permutations: no p can be 0.01 or less"}
    assert not found.tests[0].drifted


def test_vectors_with_gaps_or_of_another_length_are_left_out() -> None:
    random = np.random.default_rng(1)
    rows: list[list[float | None] | None] = [*random.normal(0, 1, (60, 3)).tolist(), None, [1.0], [None, 1.0, 2.0]]
    side = pl.DataFrame({"text": pl.Series(rows, dtype=pl.List(pl.Float64))})
    found = multivariate(side, side.sample(fraction=1.0, shuffle=True, seed=1), methods=[], embedding="text", rounds=99)
    assert [test.name for test in found.tests] == ["embedding.mean", "embedding.covariance"]
    assert [test.effect for test in found.tests] == [0.0, 0.0]
    other = multivariate(side, pl.DataFrame({"text": random.normal(0, 1, (60, 4))}), methods=[], embedding="text")
    assert "other lengths" in other.refused["embedding"]


def test_gaps_and_constant_columns_are_no_obstacle() -> None:
    random = np.random.default_rng(2)
    gaps = np.where(random.random(300) < 0.5, np.nan, 1.0)
    before = pl.DataFrame({"gap": np.ones(300), "same": np.ones(300), "when": pl.Series([None] * 300, dtype=pl.Date)})
    after = before.with_columns(gap=pl.Series(gaps).fill_nan(None))
    found = multivariate(before, after, rounds=199)
    assert all(test.drifted for test in found.tests)


def test_unknown_names_are_refused() -> None:
    random = np.random.default_rng(2)
    with pytest.raises(Invalid, match="lsdd"):
        multivariate(table(60, random), table(60, random), methods=["lsdd"])
    with pytest.raises(Invalid, match="no column 'day'"):
        multivariate(table(60, random), table(60, random), block="day")


def test_fourier_features_estimate_the_kernel() -> None:
    random = np.random.default_rng(4)
    rows = random.normal(0, 1, (40, 5))
    width = median_distance(rows)
    features = Waves(5, width, features=8_000).of(rows)
    distances = ((rows[:, np.newaxis] - rows[np.newaxis]) ** 2).sum(axis=2)
    assert np.abs(features @ features.T - np.exp(-distances / (2 * width**2))).max() < 0.06


def test_batches_of_features_add_up() -> None:
    random = np.random.default_rng(4)
    rows, codes = random.normal(0, 1, (5000, 3)), random.integers(0, 7, 5000)
    waves = Waves(3, 1.0, features=32)
    halves = waves.sums(rows[:1234], codes[:1234], 7) + waves.sums(rows[1234:], codes[1234:], 7)
    np.testing.assert_allclose(waves.sums(rows, codes, 7), halves)


def test_groups_are_of_one_size_so_that_they_can_change_sides() -> None:
    runs = groups_of(1000, 200)
    assert set(runs.counts) == {3.0}
    sizes = np.repeat(np.arange(4), [100, 90, 110, 95]), np.repeat(np.arange(4), [10, 12, 9, 11])
    blocks = groups_of(395, 42, sizes)
    assert blocks.live.tolist() == [False] * 4 + [True] * 4
    assert blocks.counts.max() <= 10
    assert blocks.counts[:4].tolist() == [10.0] * 4
    np.testing.assert_array_equal(np.bincount(blocks.codes), blocks.counts)


def test_an_observed_labelling_that_is_the_only_one_has_p_one() -> None:
    assert permute(lambda labels: labels.sum(axis=1), np.array([True, True]), rounds=9).p == 1.0


def test_boosted_trees_learn_what_a_line_cannot() -> None:
    random = np.random.default_rng(0)
    frame = pl.DataFrame({"a": random.normal(0, 1, 2000), "b": random.choice(["u", "v"], 2000)})
    y = np.where(frame["b"].to_numpy() == "u", frame["a"].to_numpy() ** 2, 0.0)
    codes = binning_of(frame).codes(frame)
    guess = boost(codes, y).values(codes)
    assert 1 - ((y - guess) ** 2).mean() / y.var() > 0.9
    assert boost(codes[:, :0], y).values(codes[:, :0]).tolist() == [y.mean()] * 2000
