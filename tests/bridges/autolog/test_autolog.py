"""Real trainings of real libraries, and what charkh recorded of them."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.functional.conftest import Charkh

from charkh.bridges.autolog.switch import LIBRARIES, autolog
from charkh.core.errors import NotFound

Trained = Callable[..., dict[str, dict[str, Any]]]


@pytest.mark.needs("peer:autolog")
def test_scikit_learn_records_what_predicts_and_only_the_outermost_fit(trained: Trained, charkh: Charkh) -> None:
    runs = trained("autolog", "sklearn_fits.py")
    assert set(runs) == {"RandomForestClassifier", "mine", "GridSearchCV"}
    forest = runs["RandomForestClassifier"]
    assert forest["params"]["n_estimators"] == 7
    assert 0.5 < forest["metrics"]["score[train]"] <= 1
    assert runs["mine"]["params"]["logisticregression__C"] == 0.5
    search = runs["GridSearchCV"]
    assert search["params"]["best.C"] in {0.1, 1.0}
    assert "score[train]" not in search["metrics"]
    listed = charkh.json("run", "media", search["run"])
    assert [each["key"] for each in listed] == ["cv_results"]


@pytest.mark.needs("peer:autolog")
def test_the_boosters_record_each_round_by_their_own_callbacks(trained: Trained, charkh: Charkh) -> None:
    runs = trained("autolog", "boosters.py")
    rounds = {"xgboost": ("logloss[held]", 5), "lightgbm": ("auc[held]", 6), "catboost": ("Logloss[validation]", 5)}
    for name in ("lightgbm", "catboost"):
        metric, count = rounds[name]
        key, _, context = metric.removesuffix("]").partition("[")
        history = charkh.json("run", "log", runs[name]["run"], key, "--context", context)
        assert [point["step"] for point in history] == list(range(count))
    assert runs["lightgbm"]["params"]["num_leaves"] == 4
    assert runs["catboost"]["params"]["depth"] == 2
    assert any(row["key"] == "feature_importance" for row in charkh.json("run", "media", runs["catboost"]["run"]))


@pytest.mark.needs("peer:autolog")
def test_statsmodels_and_optuna(trained: Trained) -> None:
    runs = trained("autolog", "others.py")
    assert {"ols", "search", "trial 0", "trial 1", "trial 2"} == set(runs)
    assert runs["ols"]["metrics"]["rsquared"] > 0.9
    assert runs["trial 1"]["tags"]["state"] == "pruned"
    assert runs["trial 0"]["parent"] == runs["search"]["run"]
    assert runs["search"]["metrics"]["trials"] == 3
    assert runs["search"]["params"]["best.rate"] == runs["trial 0"]["params"]["rate"]


@pytest.mark.needs("peer:autolog")
def test_switching_off_leaves_the_library_as_it_was(trained: Trained) -> None:
    runs = trained("autolog", "broken.py")
    assert set(runs) == {"xgboost"}
    assert runs["xgboost"]["params"]["odd"] == "object"


@pytest.mark.needs("peer:autolog-deep")
@pytest.mark.parametrize(
    ("script", "name", "metrics"),
    [
        ("lightning_fit.py", "line", {"loss[train]", "loss[val]"}),
        ("keras_fit.py", "dense", {"loss", "loss[val]"}),
        ("transformers_fit.py", "bert", {"loss", "loss[eval]"}),
    ],
)
def test_the_deep_learning_libraries(trained: Trained, script: str, name: str, metrics: set[str]) -> None:
    run = trained("autolog-deep", script)[name]
    assert metrics <= set(run["metrics"])
    assert run["params"]
    assert run["status"] == "finished"


def test_an_unknown_library_is_named_beside_the_known_ones() -> None:
    with pytest.raises(NotFound, match="tensorflow2") as raised:
        autolog("tensorflow2")
    assert all(name in (raised.value.hint or "") for name in LIBRARIES)
