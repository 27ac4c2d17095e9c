"""What is held against Evidently is what the real one says, of the very tables of which charkh says what is right.

The faults are explained in `tests/unit/monitors/test_known_faults.py`. Where a later Evidently no longer has one, its
test fails here, and the claim goes with it.
"""

import json
import subprocess
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from charkh.monitors.compare import compare
from charkh.monitors.drift import ColumnDrift, drift
from charkh.monitors.multivariate.judge import multivariate
from peers import peer_program

pytestmark = pytest.mark.needs("peer:evidently")

ASK = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift

def ask(old, new, method, seed):
    old, new = pandas.read_parquet(old), pandas.read_parquet(new)
    kind = "numerical_columns" if pandas.api.types.is_numeric_dtype(old["x"]) else "categorical_columns"
    sides = [Dataset.from_pandas(side, data_definition=DataDefinition(**{kind: ["x"]})) for side in (new, old)]
    np.random.seed(seed)
    try:
        found = Report([ValueDrift(column="x", method=method)]).run(*sides).dict()["metrics"][0]
    except ValueError as error:
        return {"error": str(error)}
    return {"value": found["value"], "threshold": found["config"]["threshold"], "drawn": np.random.random()}

print(json.dumps([ask(*each) for each in json.loads(sys.argv[1])]))
"""
PAIRS = 20


class Case(NamedTuple):
    """Two tables, and the method that Evidently is asked for; None for the one that it chooses."""

    old: pl.DataFrame
    new: pl.DataFrame
    method: str | None = None
    seed: int = 3


class Answer(NamedTuple):
    """What Evidently says; `drawn` is the next number of NumPy's generator, which was seeded before."""

    value: float = float("nan")
    threshold: float = float("nan")
    drawn: float = float("nan")
    error: str = ""


def normal(count: int, seed: int, shift: float = 0.0) -> pl.DataFrame:
    return pl.DataFrame({"x": np.random.default_rng(seed).normal(shift, 1, count)})


def letters(count: int, seed: int) -> pl.DataFrame:
    return pl.DataFrame({"x": np.random.default_rng(seed).choice(list("abc"), count)})


def tail(seed: int) -> pl.DataFrame:
    return pl.DataFrame({"x": [f"N{number}" for number in np.random.default_rng(seed).zipf(1.3, 20_000)]})


def cases() -> dict[str, Case]:
    wild = normal(2000, 2, 1.0)
    wild[0, "x"] = 1e9
    gaps = normal(2000, 2).with_columns(x=pl.when(pl.int_range(pl.len()) % 20 == 0).then("x"))
    nothing = normal(300, 2).with_columns(x=pl.lit(None, pl.Float64))
    return {
        **{f"few {seed}": Case(normal(100, seed), normal(100, 500 + seed), "psi") for seed in range(PAIRS)},
        "many": Case(normal(20_000, 1), normal(20_000, 2, 0.03), "ks"),
        "wild": Case(normal(2000, 1), wild, "psi"),
        "tail": Case(tail(1), tail(2), "psi"),
        "constant": Case(pl.DataFrame({"x": [5.0] * 2000}), pl.DataFrame({"x": [5.1] * 2000}), "wasserstein"),
        "gaps": Case(normal(2000, 1), gaps),
        "nothing": Case(normal(300, 1), nothing),
        "one new": Case(letters(900, 1), pl.concat([letters(899, 2), pl.DataFrame({"x": ["d"]})])),
        **{f"small {seed}": Case(letters(100, seed), letters(5000, 70 + seed), "chisquare") for seed in range(PAIRS)},
        "apart": Case(normal(200, 1), normal(200, 2, 50.0), "empirical_mmd"),
        **{f"seed {seed}": Case(letters(50, 1), letters(50, 2), "TVD", seed) for seed in (3, 4)},
    }


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Case, Answer]]:
    """All cases, with the answers of one process of Evidently."""
    folder, wanted = tmp_path_factory.mktemp("evidently"), cases()
    for name, case in wanted.items():
        case.old.write_parquet(folder / f"{name} old")
        case.new.write_parquet(folder / f"{name} new")
    asked = [[f"{name} old", f"{name} new", case.method, case.seed] for name, case in wanted.items()]
    python = peer_program("evidently", "python")
    done = subprocess.run(
        [python, "-c", ASK, json.dumps(asked)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = [Answer(**each) for each in json.loads(done.stdout.splitlines()[-1])]
    return {name: (case, answer) for (name, case), answer in zip(wanted.items(), answers, strict=True)}


Asked = dict[str, tuple[Case, Answer]]


def ours(case: Case) -> ColumnDrift:
    return drift(case.old, case.new).columns[0]


def test_psi_of_small_samples_is_drift_there_and_chance_here(asked: Asked) -> None:
    pairs = [asked[f"few {seed}"] for seed in range(PAIRS)]
    theirs = [answer.value >= answer.threshold for _, answer in pairs]
    assert sum(theirs) > PAIRS / 2
    assert not any(ours(case).drifted for case, _ in pairs)


def test_a_p_value_of_many_rows_is_drift_there_and_here_only_where_it_matters(asked: Asked) -> None:
    case, answer = asked["many"]
    assert answer.value < answer.threshold
    column = ours(case)
    assert any(test.significant for test in column.tests)
    assert not column.drifted


def test_one_wild_value_hides_the_shift_of_all_others_there(asked: Asked) -> None:
    case, answer = asked["wild"]
    assert answer.value < 0.01 < answer.threshold
    assert ours(case).psi == pytest.approx(1.0, abs=0.3)
    assert ours(case).drifted


def test_two_samples_of_one_long_tail_drift_there(asked: Asked) -> None:
    case, answer = asked["tail"]
    assert answer.value > 10 * answer.threshold
    assert ours(case).psi < 0.01
    assert not ours(case).drifted


def test_a_reference_that_does_not_vary_makes_a_hundred_deviations_of_a_tenth_there(asked: Asked) -> None:
    case, answer = asked["constant"]
    assert answer.value == pytest.approx(100)
    assert ours(case).wasserstein == pytest.approx(0.1)


def test_a_column_that_breaks_off_is_no_drift_there(asked: Asked) -> None:
    case, answer = asked["gaps"]
    assert answer.value < answer.threshold
    assert {test.name for test in ours(case).tests if test.drifted} == {"missing"}


def test_a_column_without_any_value_ends_the_report_there(asked: Asked) -> None:
    case, answer = asked["nothing"]
    assert "empty column 'x'" in answer.error
    assert ours(case).drifted
    assert compare(case.old, case.new).quality.nulls == 1.0


def test_one_row_of_a_new_category_is_certain_drift_there(asked: Asked) -> None:
    case, answer = asked["one new"]
    assert answer.value == 0.0
    assert (ours(case).new_categories, ours(case).drifted) == (1, False)


def test_a_small_reference_is_taken_for_the_truth_there(asked: Asked) -> None:
    pairs = [asked[f"small {seed}"] for seed in range(PAIRS)]
    assert sum(answer.value < answer.threshold for _, answer in pairs) > PAIRS / 2
    assert not any(ours(case).drifted for case, _ in pairs)


def test_a_p_value_of_permutations_is_zero_there(asked: Asked) -> None:
    case, answer = asked["apart"]
    assert answer.value == 0.0
    judged = multivariate(case.old, case.new, methods=["mmd"])
    assert judged.tests[0].p == 1 / 1000


def test_the_generator_that_others_draw_from_is_seeded_anew_there(asked: Asked) -> None:
    (_, first), (_, second) = asked["seed 3"], asked["seed 4"]
    assert first.drawn == second.drawn != np.random.RandomState(3).random()
    assert asked["wild"][1].drawn == np.random.RandomState(3).random(), "which other methods do not do"
