"""Scripts that were written for Weights & Biases, run with their one import changed."""

import json
from typing import Any

from tests.functional.conftest import Charkh

SCRIPT = """
import argparse
import numpy as np
import charkh.bridges.wandb as wandb

run = wandb.init(project="flights", name="first", group="seeds", config={"rate": 0.1, "net": {"layers": 3}},
                 tags=["small"], notes="A try.", job_type="train", mode="offline")
wandb.config.update(argparse.Namespace(epochs=4))
wandb.config.batch = 32
assert wandb.config["rate"] == wandb.config.rate == 0.1
wandb.define_metric("loss", summary="min")
wandb.watch(object())
for epoch in range(wandb.config.epochs):
    wandb.log({"loss": 1 / (epoch + 1), "val": {"auc": np.float32(0.5)}, "note": None})
wandb.log({"part": 1}, commit=False)
wandb.log({"rest": 2})
wandb.log({"late": 5.0}, step=1)
wandb.log({
    "pictures": [wandb.Image(np.zeros((4, 5, 3), np.uint8), caption="zero"), wandb.Image(np.ones((4, 5)))],
    "rows": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]]),
    "weights": wandb.Histogram(np.arange(10.0)),
    "sound": wandb.Audio(np.zeros(80), sample_rate=8000),
    "page": wandb.Html("<b>bold</b>"),
    "film": wandb.Video(np.zeros((3, 3, 4, 4), np.uint8)),
    "many": [1.0, 2.0, 3.0],
})
wandb.summary["best"] = 0.9
assert run.summary["loss"] == 0.25
artifact = wandb.Artifact("model", type="model")
with artifact.new_file("weights.txt") as file:
    file.write("1 2 3")
wandb.log_artifact(artifact)
open("plain.txt", "w").write("kept")
assert wandb.save("plain.txt") == ["plain.txt"]
open(run.dir + "/late.txt", "w").write("late")
wandb.alert("Look", "the loss is low")
print(run.id)
wandb.finish()
"""


def shown(charkh: Charkh, run: str) -> Any:
    return charkh.json("run", "show", run)


def test_a_script_is_recorded_as_it_stands(charkh: Charkh) -> None:
    done = charkh.run_python(SCRIPT)
    assert done.returncode == 0, done.stderr
    found = json.loads(charkh("run", "show", done.stdout.split()[-1], "--json"))
    run = found.get("run", found)
    assert run["name"] == "first"
    assert run["status"] == "finished"
    assert run["started"]["group"] == "seeds"
    assert run["params"] == {"rate": 0.1, "net.layers": 3, "epochs": 4, "batch": 32}
    assert run["metrics"]["loss"] == 0.25
    assert run["metrics"]["val.auc"] == 0.5
    assert run["metrics"]["late"] == 5.0
    assert run["metrics"]["part"] == 1
    assert run["metrics"]["best"] == 0.9
    assert run["tags"]["small"] == ""
    assert run["tags"]["wandb.job_type"] == "train"
    assert "watch() gathers nothing" in done.stderr


def test_what_is_shown_is_kept_with_its_step(charkh: Charkh) -> None:
    charkh.python(SCRIPT)
    code = """
from charkh.workspace.ambient import existing_workspace
from charkh.runs.media import list_media
from charkh.runs.search import search
from charkh.runs.index import ArtifactsOf
import json
store = existing_workspace().store
(run,) = search(store, "")
print(json.dumps([[each.key, each.kind, each.step, each.details.get("caption")] for each in list_media(store, run.id)]))
print(json.dumps([each.path for each in store.queries.ask(ArtifactsOf(run=run.id))]))
"""
    items, artifacts = map(json.loads, charkh.python(code).splitlines()[-2:])
    assert ["pictures", "image", 5, "zero"] in items
    kinds = {key: kind for key, kind, step, _ in items if step == 5}
    assert kinds == {
        "pictures": "image",
        "rows": "table",
        "weights": "histogram",
        "sound": "audio",
        "page": "file",
        "film": "image",
        "many": "histogram",
    }
    assert artifacts == ["files/late.txt", "files/plain.txt", "model/weights.txt"]


def test_a_lower_step_is_kept_and_not_dropped(charkh: Charkh) -> None:
    charkh.python(
        "import charkh.bridges.wandb as wandb\n"
        "wandb.init()\n"
        "for step in (5, 3, 4): wandb.log({'x': step * 10}, step=step)\n"
        "wandb.finish()"
    )
    code = (
        "from charkh.workspace.ambient import existing_workspace\n"
        "from charkh.runs.search import search\n"
        "from charkh.runs.history import metric_history\n"
        "store = existing_workspace().store\n"
        "(run,) = search(store, '')\n"
        "print(metric_history(store, run.id, 'x').values.tolist())"
    )
    assert charkh.python(code).strip() == "[30.0, 40.0, 50.0]"


def test_a_run_is_taken_up_again(charkh: Charkh) -> None:
    code = (
        "import charkh.bridges.wandb as wandb\n"
        "with wandb.init(id='word', resume='allow') as run:\n"
        "    for _ in range(3): run.log({'x': 1.0})\n"
        "    print(run.id, run.step)\n"
    )
    first, second = charkh.python(code).split(), charkh.python(code).split()
    assert first[0] == second[0]
    assert (first[1], second[1]) == ("3", "6")
    assert len(charkh.json("run", "list")) == 1
    refused = charkh.run_python("import charkh.bridges.wandb as wandb; wandb.init(id='word', resume='never')")
    assert "was begun before" in refused.stderr


def test_disabled_records_nothing(charkh: Charkh) -> None:
    code = (
        "import charkh.bridges.wandb as wandb\n"
        "run = wandb.init(mode='disabled')\n"
        "run.log({'x': 1}); run.config.update({'a': 1}); wandb.save('*'); print(run.summary['x'], run.config.a)\n"
        "wandb.finish()"
    )
    assert charkh.python(code).strip() == "1 1"
    assert charkh.json("run", "list") == []


NOT_CARRIED = {
    "wandb.sweep({})": "charkh.tune",
    "wandb.Api()": "charkh run search",
    "wandb.logg({})": "wandb.log",
    "wandb.log({'x': 1})": "wandb.init()",
    "wandb.init(mode='disabled').beta_thing()": "docs/bridges/wandb.md",
    "c = wandb.init(config={'a': 1}).config; c.update({'a': 2})": "allow_val_change",
}


def test_what_is_not_carried_says_what_to_use(charkh: Charkh) -> None:
    calls = "".join(
        f"try:\n    {call}\nexcept (CharkhError, AttributeError) as error:\n"
        "    print(repr((str(error), getattr(error, 'hint', ''))))\n"
        for call in NOT_CARRIED
    )
    said = charkh.python(
        "import charkh.bridges.wandb as wandb\nfrom charkh.core.errors import CharkhError\n"
        "assert not hasattr(wandb, 'sdk')\n" + calls
    ).splitlines()
    assert len(said) == len(NOT_CARRIED)
    for line, expected in zip(said, NOT_CARRIED.values(), strict=True):
        assert expected in line


def test_a_failing_script_leaves_a_failed_run(charkh: Charkh) -> None:
    done = charkh.run_python("import charkh.bridges.wandb as wandb\nwith wandb.init():\n    raise KeyError('x')")
    assert done.returncode == 1
    assert charkh.json("run", "list")[0]["status"] == "failed"


def test_the_module_loads_when_it_is_used(charkh: Charkh) -> None:
    code = "import sys, charkh.bridges.wandb; print('numpy' in sys.modules, 'polars' in sys.modules)"
    assert charkh.python(code).strip() == "False False"
