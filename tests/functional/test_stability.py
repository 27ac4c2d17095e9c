"""A user tries a model by a suite, finds what is wrong with it, and lets only a certified version through the gate."""

from functional.conftest import Charkh

STORY = """
import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
import charkh
from charkh.datasets.add import add_table
from charkh.workspace.workspace import open_workspace

random = np.random.default_rng(1)
rows = 500
frame = pl.DataFrame({
    "distance": random.normal(800, 200, rows),
    "hour": random.integers(0, 24, rows),
    "carrier": random.choice(["UA", "AA"], rows),
    "origin": random.choice(["JFK", "LGA"], rows),
})
push = (frame["hour"].to_numpy() - 12) / 4
late = (random.random(rows) < 1 / (1 + np.exp(-push))).astype(int)
with open_workspace() as workspace:
    add_table(workspace.store, "flights", frame.with_columns(late=pl.Series(late)))
table = charkh.dataset("flights")

def register(pushed):
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["carrier"]), (StandardScaler(), ["distance", "hour"])
        ),
        LogisticRegression(),
    )
    inputs = frame.drop("origin")
    model.fit(inputs, (random.random(rows) < 1 / (1 + np.exp(-pushed))).astype(int))
    charkh.register("delay", charkh.model(model, example=inputs[:5], data=table))

register(push + 3 * (frame["carrier"] == "UA").to_numpy())
register(push)
"""
SUITE = """
model = "delay@champion"
target = "late"
size = 400
every = "7d"
expires = "30d"

[test.repeat]
kind = "repeat"
[test.batch]
kind = "batch"
rows = 50
[test.later_is_later]
kind = "direction"
column = "hour"
add = 2
expect = "up"
[test.carriers_alike]
kind = "invariance"
columns = ["carrier"]
values = ["UA", "AA"]
tolerance = 0.3
[test.airports_alike]
kind = "fairness"
by = ["origin"]
measure = "selection"
gap = 0.3
"""
GATE = """
[gate.champion]
require = ["stability.ok"]
"""
ROUND = """
from charkh.server.scheduler import Scheduler
from charkh.workspace.workspace import open_workspace

with open_workspace() as workspace:
    Scheduler(workspace, 0).round()
    (workspace.folder / "stability" / "delay.toml").write_text(SUITE)
    Scheduler(workspace, 0).round()
    Scheduler(workspace, 0).round()
"""


def test_only_a_version_that_passes_its_tests_goes_through_the_gate_and_only_for_a_while(charkh: Charkh) -> None:
    charkh.python(STORY)
    charkh.write("stability/delay.toml", SUITE)
    charkh.write("charkh.toml", GATE)

    charkh.fails(4, "model", "promote", "delay@2")
    failed = charkh.run("evaluation", "stability", "delay@1")
    assert failed.returncode == 4
    assert "carriers_alike\tfailed" in failed.stdout
    assert "carrier AA -> UA" in failed.stdout
    assert "5 rows of" not in failed.stdout
    assert "flights@1, which it was trained on" in failed.stdout

    (made,) = charkh.json("evaluation", "stability", "delay@2")
    assert made["made"]["ok"]
    assert {each["test"]: each["outcome"] for each in made["made"]["results"]} == dict.fromkeys(
        ("repeat", "batch", "later_is_later", "carriers_alike", "airports_alike"), "passed"
    )
    charkh("model", "promote", "delay@2")

    listed = charkh("evaluation", "certificates", "delay")
    assert "delay\tdelay@2\tflights@1\t5 passed\tpassed" in listed
    assert len(charkh.json("evaluation", "certificates", "delay@1")) == 1
    shown = charkh("evaluation", "certificate", made["made"]["certificate"])
    assert "later_is_later\tpassed" in shown
    charkh("card", "make", "delay@2")
    assert "## Stability" in charkh("card", "show", "delay@2")
    assert "| test later_is_later | passed" in charkh("card", "show", "delay@2")

    # The champion's certificate is fresh, whatever else was tried since; other tests make it due, once.
    charkh.fails(4, "evaluation", "stability", "delay@1")
    before = len(charkh.json("evaluation", "certificates"))
    charkh.python(f"SUITE = {SUITE.replace('size = 400', 'size = 300')!r}" + ROUND)
    assert len(charkh.json("evaluation", "certificates")) == before + 1


def test_a_model_without_a_suite_or_a_dataset_is_tried_on_its_own_example(charkh: Charkh) -> None:
    charkh.python(
        "import numpy as np\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from charkh.models.register import register\n"
        "from charkh.workspace.workspace import open_workspace\n"
        "with open_workspace() as workspace:\n"
        "    model = LogisticRegression().fit(np.arange(24.0).reshape(8, 3), [0, 1] * 4)\n"
        "    example = np.arange(24.0).reshape(8, 3)\n"
        "    register(workspace.store, 'price', model, runtimes=workspace.runtimes, example=example)\n"
    )
    run = charkh.run("evaluation", "stability", "price", "--suite", "usual")
    assert run.returncode in {0, 4}
    assert "8 rows of its example" in run.stdout
    for test in ("repeat", "batch", "order", "duplicates", "threads"):
        assert f"{test}\tpassed" in run.stdout
    assert "no suite 'none'" in charkh.fails(13, "evaluation", "stability", "price", "--suite", "none")
    charkh.write("stability/price.toml", "model = 'price@1'\ntarget = 'cost'\n")
    assert "no column 'cost'" in charkh.fails(2, "evaluation", "stability", "price")
    charkh.write("stability/price.toml", "size = [")
    assert "stability/price.toml is no TOML" in charkh.fails(2, "evaluation", "stability", "price")


FLOWS = """
import numpy as np
import polars as pl
from sklearn.ensemble import RandomForestClassifier

import charkh


class Params(charkh.Params):
    trees: int = 3
    seed: int = 0


@charkh.step
def train(data: charkh.Table, p: Params) -> charkh.Model:
    rows = data.frame.drop("late")
    model = RandomForestClassifier(p.trees, max_depth=3, random_state=p.seed).fit(rows, data.frame["late"])
    return charkh.model(model, example=rows[:3], data=data)


@charkh.pipeline
def flights(p: Params = Params()):
    return charkh.register("delay", train(charkh.dataset("flights"), p))
"""
AGAIN = """
target = "late"

[test.again]
kind = "retrain"
seeds = 3
samples = 2
failures = {failures}
spread = {spread}
seconds = 60
"""
ROWS = """
import numpy as np
import polars as pl
from charkh.datasets.add import add_table
from charkh.workspace.workspace import open_workspace

random = np.random.default_rng(1)
x, z = random.normal(size=(2, 300))
rows = pl.DataFrame({"x": x, "z": z, "late": (x + random.normal(size=300) > 0).astype(int)})
with open_workspace() as workspace:
    add_table(workspace.store, "flights", rows)
"""


def test_a_model_is_trained_again_and_passes_only_where_its_trainings_agree(charkh: Charkh) -> None:
    charkh.write("charkh.toml", 'pipelines = "flows.py"\n[gate.champion]\nrequire = ["stability.delay.again <= 0.4"]\n')
    charkh.write("flows.py", FLOWS)
    charkh.python(ROWS)
    charkh("pipeline", "run", "flights")

    charkh.write("stability/delay.toml", AGAIN.format(failures=0.4, spread=0.2))
    (made,) = charkh.json("evaluation", "stability", "delay@1")
    (result,) = made["made"]["results"]
    assert result["outcome"] == "passed"
    assert "mean over 3 other seeds and 2 bootstrap samples" in result["measure"]
    assert ":train of the pipeline flights" in result["note"]
    assert 0 < result["value"] < 0.4
    lines = charkh.json("evaluation", "certificate", made["made"]["certificate"])["details"]["tests"][0]["lines"]
    assert {"seed 3", "sample 2", "auc of seed 1", "spread"} <= set(lines)
    charkh("model", "promote", "delay@1")

    charkh.write("stability/delay.toml", AGAIN.format(failures=0.4, spread=0.000001))
    wide = charkh.run("evaluation", "stability", "delay@1")
    assert wide.returncode == 4
    assert "at most 1e-06" in wide.stdout
    charkh.write("stability/delay.toml", AGAIN.format(failures=0.0, spread=0.0))
    churned = charkh.run("evaluation", "stability", "delay@1")
    assert churned.returncode == 4
    assert "again failed" in churned.stdout
    charkh.fails(13, "model", "show", "delay@2")
