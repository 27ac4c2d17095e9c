"""Performance before the truth comes, estimated of chunk after chunk, beside what the truth then shows: CBPE and DLE.

    estimates.py [ROWS] [CHUNK] [CHUNKS] [ROUNDS]          20000 rows with truth, 10 chunks of 2000 without, 5 draws

Six tables are drawn anew in each round; their inputs drift from chunk to chunk, in a way that the score, or the
columns, tell. Two are the demo's flights: a model of January to March, April and May with truth, and what comes after
in chunks, in which the concept may change as it likes. The reading is the mean absolute error over the drawn tables, of
AUC, accuracy and F1 (of MAE and RMSE as a share of the realised one). The peer is NannyML with the settings that it has
when nothing is said. The limit is whoever knows the true probability of each row, or the true spread of its error: what
is left then is chance in the outcomes.

Both learn once a table, and their seconds, learning included, are of all chunks of tables that are in memory. charkh
also gives intervals: how often they hold is printed. Chunks are a segment to it, of which it takes ten at most.
"""

import json
import subprocess
import sys
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from harness import peer_python, report, version_of, workplace
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from charkh.core.metrics import roc_auc
from charkh.demo.source import packaged_data
from charkh.monitors.estimated.estimate import estimated

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Values = dict[str, list[float]]
"""By metric, one value a chunk."""

DEFAULTS = (20_000, 2000, 10, 5)
AIM, AIM_HELD = 1.5, 0.9
# The peer's trees are LightGBM's, of compiled code; those of charkh are its own, on NumPy.
AIM_SECONDS = {"cbpe": 1.0, "dle": 3.0}
# Its own requirements leave statsmodels out, and let in a pandas that is newer than it.
PEER_NEEDS = ("nannyml==0.13.1", "pandas<3", "statsmodels")
PEER = """
import json, logging, os, sys, time, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import nannyml, pandas
def estimator(numbers, columns, chunk):
    if numbers:
        names = {"feature_column_names": columns, "y_pred": "score", "y_true": "truth"}
        return nannyml.DLE(**names, metrics=["mae", "rmse"], chunk_size=chunk)
    names = {"y_pred_proba": "score", "y_pred": "predicted", "y_true": "truth"}
    metrics = ["roc_auc", "accuracy", "f1"]
    return nannyml.CBPE(**names, problem_type="classification_binary", metrics=metrics, chunk_size=chunk)
answers = []
for old, new, numbers, columns, chunk in json.loads(sys.argv[1]):
    old, new = pandas.read_parquet(old), pandas.read_parquet(new)
    begin = time.perf_counter()
    found = estimator(numbers, columns, chunk).fit(old).estimate(new.drop(columns="truth"))
    seconds = time.perf_counter() - begin
    table = found.filter(period="analysis").to_df()
    names = ["mae", "rmse"] if numbers else ["roc_auc", "accuracy", "f1"]
    answers.append({"seconds": seconds, "values": {name: table[(name, "value")].tolist() for name in names}})
print(json.dumps(answers))
"""


class Task(NamedTuple):
    """A reference with truth, and rows that are asked of chunk by chunk.

    Attributes:
        name: of the table.
        old: has `score` and `truth`; where truth is a number, the score is the prediction.
        new: has them too, and its truth is shown to nobody. Where it is known, it also has `chance`, the probability
            of the positive class, or `spread`, the standard deviation of the error.
        columns: that are inputs.
        block: column whose equal values share what made them.
        threshold: from which score on a row is predicted positive; None where truth is a number.
    """

    name: str
    old: pl.DataFrame
    new: pl.DataFrame
    columns: tuple[str, ...] = ()
    block: str = ""
    threshold: float | None = None

    @property
    def method(self) -> str:
        return "dle" if self.threshold is None else "cbpe"


def sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-values))


def classes(random: np.random.Generator, old: int, moved: Floats) -> Iterator[Task]:
    """Models that are too sure, have bumps, find what is rare, and are calibrated; inputs move and narrow."""
    shapes: dict[str, tuple[float, Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
        "sure": (0.5, lambda x: sigmoid(3 * x - 0.5), lambda x: sigmoid(1.5 * x - 1)),
        "bumps": (0.5, lambda x: sigmoid(1.5 * x), lambda x: sigmoid(1.5 * x + np.sin(4 * x))),
        "rare": (0.2, lambda x: sigmoid(1.6 * x - 3.2), lambda x: sigmoid(1.2 * x - 3.6)),
        "calibrated": (0.5, lambda x: sigmoid(1.2 * x), lambda x: sigmoid(1.2 * x)),
    }
    for name, (threshold, score, chance) in shapes.items():

        def side(moved: Floats, score: Callable[[Floats], Floats], chance: Callable[[Floats], Floats]) -> pl.DataFrame:
            x = random.normal(0.8 * moved, 1 - 0.4 * moved)
            hit = random.random(len(x)) < chance(x)
            return pl.DataFrame({"score": score(x), "chance": chance(x), "truth": hit.astype(np.int64)})

        yield Task(name, side(np.zeros(old), score, chance), side(moved, score, chance), threshold=threshold)


def numbers(random: np.random.Generator, old: int, moved: Floats) -> Iterator[Task]:
    """Errors that grow with a column, in one group otherwise than in another, and that are large in a corner of two."""

    def grown(x: Floats, y: Floats, second: Bools) -> Floats:
        return np.where(second, 0.3 + np.abs(x), 0.2 + 0.1 * y**2)

    def corner(x: Floats, y: Floats, second: Bools) -> Floats:
        return 0.5 + 2.5 * ((x > 0.3) & (y > 0.3)) + 0.5 * second

    def side(moved: Floats, spread_of: Callable[[Floats, Floats, Bools], Floats]) -> pl.DataFrame:
        x, y = random.normal(0.8 * moved, 1), random.normal(0.4 * moved, 1)
        second = random.random(len(x)) < 0.3 + 0.4 * moved
        spread, noise = spread_of(x, y, second), random.normal(0, 1, (2, len(x)))
        inputs = {"x": x, "y": y, "group": np.where(second, "b", "a"), "noise": noise[0]}
        score = 2 * x - y
        return pl.DataFrame({**inputs, "score": score, "spread": spread, "truth": score + spread * noise[1]})

    for name, spread_of in (("grown", grown), ("corner", corner)):
        yield Task(name, side(np.zeros(old), spread_of), side(moved, spread_of), ("x", "y", "group", "noise"))


def flights(old: int, new: int) -> Iterator[Task]:
    """Will a flight be late, and by how many minutes; evenly thinned to so many rows."""
    with zipfile.ZipFile(packaged_data() / "flights.csv.zip") as archive:
        year = pl.read_csv(archive.read("flights.csv"), null_values="NA").drop_nulls("arr_delay")
    inputs = ("carrier", "origin", "dest", "distance", "hour", "minute", "weekday")
    date = pl.date("year", "month", "day")
    year = year.with_columns(weekday=date.dt.weekday(), date=date.dt.to_string()).sort("time_hour", "flight")
    texts = [pl.col(name).cast(pl.Categorical).to_physical() for name in inputs[:3]]
    x = year.with_columns(texts).select(inputs).to_numpy()
    first, second, rest = (year["month"].is_between(*months).to_numpy() for months in ((1, 3), (4, 5), (6, 12)))
    minutes = year["arr_delay"].cast(pl.Float64).clip(-60, 240).to_numpy()

    def task(name: str, score: Floats, truth: pl.Series, threshold: float | None) -> Task:
        told = year.select(*inputs, "date").with_columns(pl.Series("score", score), truth.alias("truth"))
        sides = (_thinned(told.filter(part), count) for part, count in ((second, old), (rest, new)))
        return Task(name, *sides, columns=inputs, block="date", threshold=threshold)

    late = minutes > 15
    classifier = HistGradientBoostingClassifier(random_state=0).fit(x[first], late[first])
    yield task("flights late", classifier.predict_proba(x)[:, 1], pl.Series(late.astype(np.int64)), 0.3)
    regressor = HistGradientBoostingRegressor(random_state=0).fit(x[first], minutes[first])
    yield task("flights minutes", regressor.predict(x), pl.Series(minutes), None)


def _thinned(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    return rows[np.linspace(0, rows.height - 1, min(count, rows.height)).astype(int)]


def _chunks(rows: pl.DataFrame, chunk: int) -> list[pl.DataFrame]:
    return list(rows.iter_slices(chunk))


def realised(task: Task, chunk: int) -> Values:
    """What the truth shows."""
    found = defaultdict[str, list[float]](list)
    for part in _chunks(task.new, chunk):
        score, truth = part["score"].to_numpy(), part["truth"].to_numpy()
        if task.threshold is None:
            found["mae"].append(float(np.abs(truth - score).mean()))
            found["rmse"].append(float(np.sqrt(((truth - score) ** 2).mean())))
        else:
            hit, up = truth == 1, score >= task.threshold
            found["auc"].append(roc_auc(hit, score))
            found["accuracy"].append(float((hit == up).mean()))
            found["f1"].append(float(2 * (hit & up).sum() / (hit.sum() + up.sum())))
    return found


def known(task: Task, chunk: int) -> Values:
    """What is to be expected of the true probabilities, or spreads."""
    found = defaultdict[str, list[float]](list)
    for part in _chunks(task.new, chunk):
        score = part["score"].to_numpy()
        if task.threshold is None:
            spread = part["spread"].to_numpy()
            found["mae"].append(float(spread.mean() * np.sqrt(2 / np.pi)))
            found["rmse"].append(float(np.sqrt((spread**2).mean())))
        else:
            chance, up = part["chance"].to_numpy(), score >= task.threshold
            rows = np.ones(len(score))
            both = np.concatenate([rows, np.zeros(len(score))])
            found["auc"].append(roc_auc(both, np.tile(score, 2), np.concatenate([chance, 1 - chance])))
            found["accuracy"].append(float(np.where(up, chance, 1 - chance).mean()))
            found["f1"].append(float(2 * chance[up].sum() / (chance.sum() + up.sum())))
    return found


def charkh(task: Task, chunk: int, truth: Values) -> tuple[float, Values, list[bool]]:
    """Seconds, values, and whether the intervals hold what was realised."""
    number = pl.int_range(pl.len()) // chunk
    rows = task.new.drop("truth").with_columns(chunk=number)
    begin = time.perf_counter()
    found = estimated(
        task.old,
        rows,
        target="truth",
        score="score",
        columns=task.columns,
        block=task.block,
        segments=["chunk"],
        threshold=0.5 if task.threshold is None else task.threshold,
    )
    seconds = time.perf_counter() - begin
    said = [found.segments[f"chunk={place}"] for place in range(len(found.segments))]
    values = {metric: [each[metric] for each in said] for metric in truth}
    held = [
        each[f"{metric}.low"] <= real <= each[f"{metric}.high"]
        for metric, reals in truth.items()
        for each, real in zip(said, reals, strict=True)
    ]
    return seconds, values, held


def nannyml(python: Path | None, tasks: Sequence[Task], chunk: int) -> list[tuple[float, Values]] | None:
    """Seconds and values of each task, from one process."""
    if python is None:
        return None
    wanted = list[tuple[str, str, bool, tuple[str, ...], int]]()
    with workplace() as folder:
        for place, task in enumerate(tasks):
            paths = str(folder / f"{place}.old.parquet"), str(folder / f"{place}.new.parquet")
            for side, path in zip((task.old, task.new), paths, strict=True):
                at = 0.0 if task.threshold is None else task.threshold
                side.with_columns(predicted=(pl.col("score") >= at).cast(pl.Int64)).write_parquet(path)
            wanted.append((*paths, task.threshold is None, task.columns, chunk))
        done = subprocess.run([python, "-c", PEER, json.dumps(wanted)], capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout.splitlines()[-1])
    return [
        (each["seconds"], {name.removeprefix("roc_"): values for name, values in each["values"].items()})
        for each in answers
    ]


def errors(task: Task, said: Values, truth: Values) -> dict[str, float]:
    """By metric the mean absolute error; of numbers as a share of what was realised."""
    return {
        metric: float(
            np.mean([abs(a - b) / (b if task.method == "dle" else 1) for a, b in zip(said[metric], reals, strict=True)])
        )
        for metric, reals in truth.items()
    }


def by_table(tasks: Sequence[Task], found: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean over rounds, by table and metric."""
    together = defaultdict[str, list[float]](list)
    for task, each in zip(tasks, found, strict=True):
        for metric, error in each.items():
            together[f"{task.name} {metric}"].append(error)
    return {name: float(np.mean(each)) for name, each in together.items()}


def main(rows: int, chunk: int, chunks: int, rounds: int) -> None:
    moved = np.repeat(np.linspace(0, 1, chunks), chunk)
    drawn = list[Task]()
    for seed in range(rounds):
        random = np.random.default_rng(seed)
        drawn += [*classes(random, rows, moved), *numbers(random, rows, moved)]
    tasks = [*drawn, *flights(rows, chunk * chunks)]
    truths = [realised(task, chunk) for task in tasks]
    python = peer_python("nannyml", *PEER_NEEDS)
    theirs = nannyml(python, tasks, chunk)
    mine = [charkh(task, chunk, truth) for task, truth in zip(tasks, truths, strict=True)]
    by_side = {
        "charkh": [errors(*each) for each in zip(tasks, (said for _, said, _ in mine), truths, strict=True)],
        "limit": [errors(task, known(task, chunk), truth) for task, truth in zip(drawn, truths, strict=False)],
    }
    if theirs is not None:
        by_side["peer"] = [
            errors(task, said, truth) for task, (_, said), truth in zip(tasks, theirs, truths, strict=True)
        ]
    overall = {
        side: float(np.mean([error for each in found[: len(drawn)] for error in each.values()]))
        for side, found in by_side.items()
    }
    tables = {side: by_table(tasks[: len(found)], found) for side, found in by_side.items()}
    held, held_flights = (
        float(np.mean([each for _, _, held in some for each in held]))
        for some in (mine[: len(drawn)], mine[len(drawn) :])
    )
    seconds = {
        f"{side}_{method}": sum(each[0] for each, task in zip(found, tasks, strict=True) if task.method == method)
        for side, found in (("charkh", mine), ("peer", theirs))
        if found is not None
        for method in ("cbpe", "dle")
    }
    nearer = theirs is None or overall["charkh"] <= overall["peer"]
    quicker = theirs is None or all(
        seconds[f"charkh_{method}"] <= times * seconds[f"peer_{method}"] for method, times in AIM_SECONDS.items()
    )
    aim = f"nearer than NannyML, {AIM} times the limit, {AIM_HELD:.0%} of the 95 % intervals hold; "
    aim += f"CBPE in no more seconds than NannyML's, DLE in {AIM_SECONDS['dle']:g} times as many"
    report(
        "estimates",
        charkh=overall["charkh"],
        peer=overall.get("peer"),
        limit=overall["limit"],
        aim=aim,
        holds=nearer and quicker and overall["charkh"] <= AIM * overall["limit"] and held >= AIM_HELD,
        unit="mean absolute error",
        rows=rows,
        chunk=chunk,
        chunks=chunks,
        rounds=rounds,
        seconds={name: round(each, 2) for name, each in seconds.items()},
        intervals_hold=round(held, 3),
        intervals_hold_flights=round(held_flights, 3),
        by_table={
            name: {side: round(each[name], 4) for side, each in tables.items() if name in each}
            for name in tables["charkh"]
        },
        peer_version=version_of(python, "nannyml"),
    )


if __name__ == "__main__":
    main(
        *(
            int(given) if given else default
            for given, default in zip([*sys.argv[1:], *[""] * 4][:4], DEFAULTS, strict=True)
        )
    )
