"""Models trained again: by the step that made them, in every shape of pipeline, and else as a clone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

import charkh
from charkh.core.errors import Invalid, NotFound
from charkh.core.stability_settings import RetrainTest, StabilitySettings
from charkh.datasets.add import add_table
from charkh.datasets.delete import delete
from charkh.datasets.find import find as find_dataset
from charkh.evaluations.stability.certificate import Found
from charkh.evaluations.stability.read import read_stability
from charkh.models.find import find
from charkh.models.index import ModelVersions
from charkh.models.register import register
from charkh.pipelines.index import Executions
from charkh.runs.search import search
from charkh.workspace.ambient import use
from charkh.workspace.certifying import certify_model
from charkh.workspace.pipelines import run_named
from charkh.workspace.workspace import Workspace, open_workspace

FLOWS = """
import numpy as np
import polars as pl
from sklearn.ensemble import RandomForestClassifier

import charkh


class Params(charkh.Params):
    trees: int = charkh.search(4, low=3, high=6)
    seed: int = 0


@charkh.step
def prepare(raw: charkh.Table) -> charkh.Table:
    return raw.having(raw.frame.filter(pl.col("x") > -5))


@charkh.step
def train(data: charkh.Table, p: Params) -> charkh.Model:
    return fit(data.frame, p)


def fit(frame, p):
    model = RandomForestClassifier(p.trees, max_depth=4, random_state=p.seed).fit(frame.drop("late"), frame["late"])
    charkh.log(auc=0.5)
    return charkh.model(model, example=frame.drop("late")[:3], data=charkh.Table(frame, ORIGINS))


ORIGINS = ()


@charkh.step
def train_both(data: charkh.Table, p: Params) -> dict[str, charkh.Model]:
    return {"big": fit(data.frame, p), "small": fit(data.frame.head(50), p)}


@charkh.step(cache=False)
def tell(text: str) -> None:
    with open("told.txt", "a") as file:
        file.write(text)


@charkh.pipeline
def straight(p: Params = Params()):
    return charkh.register("straight", train(prepare(charkh.dataset("flights")), p))


@charkh.pipeline
def several(p: Params = Params()):
    both = train_both(prepare(charkh.dataset("flights")), p)
    charkh.register("small", both["small"])
    charkh.log_model("big", both["big"])
    done = charkh.register("big", both["big"])
    tell("registered")
    return done


@charkh.pipeline
def searched():
    data = prepare(charkh.dataset("flights"))
    best = charkh.tune(train, data, space=Params, maximize="auc", trials=2)
    return charkh.register("searched", best)


@charkh.pipeline
def inline():
    data = prepare(charkh.dataset("flights"))
    return charkh.register("inline", fit(data.frame, Params()))


@charkh.pipeline
def fixed():
    return charkh.register("fixed", constant(prepare(charkh.dataset("flights"))))


@charkh.step
def constant(data: charkh.Table) -> charkh.Model:
    return fit(data.frame, Params())
"""


def flights(rows: int = 200, seed: int = 1) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, rows))
    return pl.DataFrame({"x": x, "z": z, "late": (x + random.normal(size=rows) > 0).astype(int)})


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    (tmp_path / "charkh.toml").write_text('pipelines = "flows.py"\n')
    (tmp_path / "flows.py").write_text(FLOWS)
    monkeypatch.chdir(tmp_path)
    with open_workspace(tmp_path, create=True) as opened:
        add_table(opened.store, "flights", flights())
        yield opened


def tried(workspace: Workspace, model: str, **said: Any) -> Found:
    """The one test of a suite, made of a model."""
    test = RetrainTest(**{"failures": 1.0, "seeds": 2, "samples": 1, **said})
    suite = StabilitySettings(on="flights", target="late", test={"again": test})
    certificate = certify_model(workspace, "suite", suite, model=model)
    (found,) = read_stability(workspace.store, certificate).tests
    return found


def versions(workspace: Workspace, name: str) -> int:
    return len(workspace.store.queries.ask(ModelVersions(name=name)))


@pytest.mark.parametrize(
    ("pipeline", "model", "step"), [("straight", "straight", "train"), ("several", "big", "train_both")]
)
def test_the_step_that_made_the_model_is_called_again_and_nothing_else_happens(
    workspace: Workspace, pipeline: str, model: str, step: str
) -> None:
    run_named(workspace, pipeline)
    before = {name: versions(workspace, name) for name in ("straight", "small", "big")}
    executions = len(workspace.store.queries.ask(Executions()))
    found = tried(workspace, f"{model}@1")
    assert found.result.outcome == "passed"
    assert found.result.note.startswith("by the step flows")
    assert f":{step} of the pipeline {pipeline}; auc 0." in found.result.note
    assert "already answers" not in found.result.note
    assert found.lines["seeds"] > 0
    assert found.lines["samples"] > 0
    assert {name: versions(workspace, name) for name in before} == before
    assert len(workspace.store.queries.ask(Executions())) == executions
    assert (workspace.folder / "told.txt").exists() == (pipeline == "several")
    if pipeline == "several":
        assert (workspace.folder / "told.txt").read_text() == "registered"


def test_each_training_is_a_run_that_says_its_seed(workspace: Workspace) -> None:
    run_named(workspace, "straight")
    tried(workspace, "straight@1")
    runs = search(workspace.store, "tags.retrained = 'straight@1'")
    trained = [run for run in runs if "seed" in run.params]
    assert len(runs) == 4
    assert [run.params["sample"] for run in trained].count(True) == 1
    assert len({run.params["seed"] for run in trained}) == 3
    assert all(run.metrics == {"auc": 0.5} for run in trained)


def test_the_rows_and_params_of_that_time_count(workspace: Workspace) -> None:
    run_named(workspace, "straight", {"trees": 3})
    add_table(workspace.store, "flights", flights(60, seed=2))
    found = tried(workspace, "straight@1")
    assert "already answers" not in found.result.note
    assert "executed anew" not in found.result.note
    delete(workspace.store, find_dataset(workspace.store, "flights@1").ref)
    gone = tried(workspace, "straight@1", by="pipeline")
    assert (gone.result.outcome, "is gone" in gone.result.note) == ("skipped", True)


def test_what_a_search_chose_is_trained_again_and_not_the_search(workspace: Workspace) -> None:
    run_named(workspace, "searched")
    trials = len([run for run in search(workspace.store, "") if "trial" in run.tags])
    found = tried(workspace, "searched@1")
    assert ":train of the pipeline searched" in found.result.note
    assert "already answers" not in found.result.note
    assert len([run for run in search(workspace.store, "") if "trial" in run.tags]) == trials == 2


def test_a_training_that_takes_no_seed_says_so(workspace: Workspace) -> None:
    run_named(workspace, "fixed")
    found = tried(workspace, "fixed@1", samples=0)
    assert found.result.value == 0
    assert "no seed changes any answer" in found.result.note
    assert "the step takes no seed" in found.result.note
    with pytest.raises(Invalid, match=r"no whole number named 'p\.seed'"):
        tried(workspace, "fixed@1", seed="p.seed")


def test_code_that_changed_since_is_told(workspace: Workspace) -> None:
    run_named(workspace, "straight")
    changed = FLOWS.replace("max_depth=4", "max_depth=1")
    (workspace.folder / "later.py").write_text(changed)
    (workspace.folder / "charkh.toml").write_text('pipelines = "later.py"\n')
    with open_workspace(workspace.folder) as later:
        found = tried(later, "straight@1")
    assert "the same training again already answers" in found.result.note
    assert "the step was executed anew" in found.result.note


def test_without_a_step_that_made_it_a_clone_is_fitted_to_its_dataset(workspace: Workspace) -> None:
    run_named(workspace, "inline")
    only = tried(workspace, "inline@1", by="pipeline")
    assert (only.result.outcome, only.result.note) == (
        "skipped",
        "the pipeline inline trains in its own body, not in a step",
    )
    both = tried(workspace, "inline@1")
    assert both.result.outcome == "skipped"
    assert "does not say which dataset" in both.result.note


def registered(workspace: Workspace, estimator: Any, target: str = "late", dataset: str = "flights") -> None:
    data = find_dataset(workspace.store, dataset)
    rows = flights().drop("late")
    truth = flights()["late"]
    estimator.fit(rows, truth if target == "late" else truth.replace_strict({0: "in time", 1: "late"}))
    register(
        workspace.store,
        "alone",
        estimator,
        runtimes=workspace.runtimes,
        example=rows[:5],
        datasets=[data.id],
    )


def test_a_clone_with_another_seed_is_held_against_a_clone_with_its_own(workspace: Workspace) -> None:
    registered(workspace, RandomForestClassifier(4, random_state=3))
    found = tried(workspace, "alone@1")
    assert found.result.outcome == "passed"
    assert found.result.note.startswith("by a clone of the registered estimator on all of flights@1; auc ")
    assert "already answers" not in found.result.note
    assert "no pipeline made it" in found.result.note
    assert found.lines["seeds"] > 0
    assert found.lines["samples"] > 0


def test_a_clone_learns_texts_and_says_what_it_cannot_learn(workspace: Workspace) -> None:
    told = flights().with_columns(word=pl.col("late").replace_strict({0: "in time", 1: "late"}))
    add_table(workspace.store, "words", told)
    registered(workspace, RandomForestClassifier(4, random_state=3), "word", "words")
    for target, note in (("late", "to words@1 (stability.not_fitted)"), ("", "name the suite's target")):
        suite = StabilitySettings(target=target, test={"again": RetrainTest(failures=1.0)})
        result = certify_model(workspace, "suite", suite, model="alone@1").made.results[0]
        assert (result.outcome, note in result.note) == ("skipped", True)


def test_an_estimator_without_randomness_differs_by_its_draws_alone(workspace: Workspace) -> None:
    registered(workspace, LinearRegression())
    found = tried(workspace, "alone@1", tolerance=0.01)
    assert found.lines["seeds"] == 0
    assert found.lines["samples"] > 0
    assert "the estimator has no random_state" in found.result.note
    assert found.lines["rmse"] > 0


def test_a_pipeline_that_is_asked_for_must_be_there(workspace: Workspace) -> None:
    registered(workspace, RandomForestClassifier(2, random_state=3))
    with pytest.raises(NotFound, match="no pipeline 'other'"):
        tried(workspace, "alone@1", pipeline="other")
    wrong = tried(workspace, "alone@1", pipeline="straight")
    assert "the pipeline straight registers no alone" in wrong.result.note
    with use(workspace):
        assert charkh.load("alone@1").version.id == find(workspace.store, "alone@1").id
