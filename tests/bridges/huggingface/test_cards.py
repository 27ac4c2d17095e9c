"""What Hugging Face's own library reads out of a card that charkh wrote."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.functional.conftest import Charkh
from tests.peers import peer_program

pytestmark = pytest.mark.needs("peer:huggingface")

STORY = """
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
import charkh
from charkh.datasets.add import add_table
from charkh.evaluations.score import evaluate
from charkh.models.register import register
from charkh.workspace.workspace import open_workspace

hour = np.random.default_rng(1).random(400) * 24
frame = pl.DataFrame({"hour": hour, "late": (hour > 12 + np.random.default_rng(2).normal(0, 4, 400)).astype(int)})
for seed in range(3):
    with charkh.run(name="fit", group="grid", goals={"auc": "max"}, params={"C": 0.5, "seed": seed}) as run:
        for step in range(4):
            run.log({"auc": 0.5 + step / 10 + seed / 100, "co2_eq_emissions": 1.5}, step=step)
with open_workspace() as workspace:
    store = workspace.store
    data = add_table(store, "flights", frame)
    model = LogisticRegression().fit(frame.select("hour").to_numpy(), frame["late"].to_numpy())
    version = register(
        store, "delay", model, runtimes=workspace.runtimes, example={"hour": hour[:5]}, datasets=[data.id], run=run.id
    )
    scores = model.predict_proba(frame.select("hour").to_numpy())[:, 1]
    late = frame["late"]
    slices = {"part": pl.Series(["a" if each < 12.5 else "b" for each in hour])}
    evaluate(
        store, about=version.subject, truth=late, scores=scores, on=data.subject, rounds=50, slices=slices, min_rows=20
    )
"""

PARTS = """---
license: other
license_name: house-license
license_link: https://example.com/license
language:
- en
- fa
base_model: crew/delay-base
---

## Intended use

Plan gates. برای برنامه‌ریزی گیت‌ها.

## Limits and risks

It has never seen snow: "#1", it's said, 100 % of the time.
"""  # noqa: RUF001

READ = """
import json, sys
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results
card = ModelCard.load(sys.argv[1])
data = card.data
again = ModelCard(str(card)).data
print(json.dumps({
    "kind": type(data).__name__, "license": data.license, "license_name": data.license_name, "tags": data.tags,
    "language": data.language, "library": data.library_name, "pipeline": data.pipeline_tag, "datasets": data.datasets,
    "metrics": data.metrics, "base": data.base_model, "name": data.model_name,
    "emissions": data.to_dict()["co2_eq_emissions"],
    "same": again.to_dict() == data.to_dict(),
    "results": [
        [each.task_type, each.dataset_type, each.dataset_name, each.dataset_config, each.metric_type, each.metric_value,
         each.metric_args] for each in data.eval_results
    ],
    "text": card.text,
}))
"""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The card of a model, as the library has it."""
    charkh = Charkh(tmp_path_factory.mktemp("cards"))
    charkh("init")
    charkh.python(STORY)
    charkh.write("parts.md", PARTS)
    charkh("card", "make", "delay", "--text", "parts.md")
    card = charkh.write("README.md", charkh("card", "show", "delay"))
    return _read(card)


def _read(card: Path) -> dict[str, Any]:
    python = peer_program("huggingface", "python")
    result = subprocess.run([python, "-c", READ, str(card)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_metadata_is_read_key_by_key(read: dict[str, Any]) -> None:
    assert read["kind"] == "ModelCardData"
    assert (read["license"], read["license_name"]) == ("other", "house-license")
    assert read["language"] == ["en", "fa"]
    assert read["tags"] == ["charkh"]
    assert read["library"] == "sklearn"
    assert read["pipeline"] == "tabular-classification"
    assert read["datasets"] == ["flights"]
    assert read["base"] == "crew/delay-base"
    assert read["name"] == "delay"
    assert {"roc_auc", "brier_score"} <= set(read["metrics"])
    assert read["emissions"]["emissions"] == 1.5
    assert read["same"]


def test_the_model_index_is_read_as_evaluation_results(read: dict[str, Any]) -> None:
    rows = read["results"]
    whole = {row[4]: row for row in rows if row[3] is None}
    task, kind, name, _, _, value, args = whole["roc_auc"]
    assert (task, kind, name) == ("tabular-classification", "charkh", "flights@1")
    assert args["low"] <= value <= args["high"]
    assert args["evaluation"].startswith("evaluation:")
    assert {row[3] for row in rows} == {None, "part=a", "part=b"}


def test_people_s_words_arrive_whole(read: dict[str, Any]) -> None:
    assert "برای برنامه‌ریزی گیت‌ها." in read["text"]  # noqa: RUF001
    assert '"#1", it\'s said, 100 % of the time.' in read["text"]
    assert "| auc | 0.82 | 0.82 (max) | 0.52 | 0.82 | 4 |" in read["text"]
    assert "| auc | 3 | 0.81 | 0.01 |" in read["text"]
