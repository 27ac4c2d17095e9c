"""Stages: expanded as the real DVC expands them, and run so that the real DVC calls the result clean."""

import json
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tests.bridges.dvc.repository import Repository
from tests.functional.conftest import Charkh
from tests.peers import peer_program

from charkh.bridges.dvc.params import parse_params
from charkh.bridges.dvc.template import expand_pipeline
from charkh.bridges.dvc.yaml_text import load_yaml
from charkh.core.errors import CharkhError

pytestmark = pytest.mark.needs("peer:dvc")

PARAMS = """\
seed: 7
rate: 0.1
name: Ann's run
flag: true
nothing: null
models: [svm, tree]
layers:
- {size: 3, kind: dense}
- {size: 5, kind: conv}
train:
  epochs: 3
  fast: false
  tags: [a, "b c"]
  deep: {x: 1}
by: {us: {n: 1}, de: {n: 2}}
numbers: [1, 2.5, true]
1: not text
"""
PIPELINES = {
    "types": "stages:\n  a:\n    cmd: run ${seed} ${rate} ${flag} ${nothing} '${name}' \\${HOME} ${layers[1].kind}\n"
    "    frozen: ${flag}\n    deps: ['${models[0]}', 'x-${models[1]}']\n    desc: ${name}\n",
    "options": "stages:\n  a:\n    cmd: python train.py ${train}\n  b:\n    cmd: ['one ${train.deep}', 'two']\n",
    "vars": "vars:\n- more.json\n- other.toml:b\n- extra: {x: 5}\nstages:\n  a:\n    cmd: ${extra.x} ${j} ${b.c}\n"
    "    vars: [{own: 9}, values.py:Model]\n    wdir: sub\n    outs: ['${own}-${Model.depth}']\n",
    "foreach_list": "stages:\n  a:\n    foreach: ${models}\n    do:\n      cmd: fit\n      outs: ['m/${item}']\n",
    "foreach_composite": "stages:\n  a:\n    foreach: ${layers}\n    do:\n      cmd: fit ${item.size} ${item.kind}\n",
    "foreach_table": "stages:\n  a:\n    foreach: ${by}\n    do:\n      cmd: ${key} ${item.n}\n      wdir: ${key}\n",
    "foreach_literal": "stages:\n  a:\n    foreach: [1, '${seed}', true]\n    do:\n      cmd: fit ${item}\n",
    "foreach_numbers": "stages:\n  a:\n    foreach: ${numbers}\n    do: {cmd: 'fit ${item}'}\n",
    "matrix": "stages:\n  a:\n    matrix:\n      model: ${models}\n      layer: ${layers}\n"
    "      n: [1, true, '${flag}']\n    cmd: fit ${item.model} ${item.layer.size} ${item.n} > ${key}\n"
    "    outs:\n    - ${key}: {cache: false}\n",
    "no_name": "stages:\n  a:\n    cmd: ${nobody}\n",
    "no_expression": "stages:\n  a:\n    cmd: ${a..b}\n",
    "list_in_text": "stages:\n  a:\n    cmd: x\n    outs: ['${models}']\n",
    "list_in_cmd": "stages:\n  a:\n    cmd: run ${models}\n",
    "redefined": "vars:\n- seed: 8\nstages:\n  a:\n    cmd: x\n",
    "merged": "vars:\n- train: {more: 8}\nstages:\n  a:\n    cmd: x ${train.more} ${train.epochs}\n",
    "expression_in_vars": "vars:\n- x: ${seed}\nstages:\n  a:\n    cmd: x\n",
    "no_file": "vars: [nothing.yaml]\nstages:\n  a:\n    cmd: x\n",
    "twice": "vars: [more.json, 'more.json:j']\nstages:\n  a:\n    cmd: x\n",
    "no_key": "vars: ['more.json:z']\nstages:\n  a:\n    cmd: x\n",
    "item_redefined": "stages:\n  a:\n    foreach: [1]\n    do:\n      cmd: ${item}\n      vars: [{item: 3}]\n",
    "foreach_text": "stages:\n  a:\n    foreach: ${seed}\n    do:\n      cmd: x\n",
}
FILES = {
    "params.yaml": PARAMS,
    "more.json": '{"j": 1, "z2": 1}',
    "other.toml": "[b]\nc = 'toml'\n[d]\ne = 1\n",
    "sub/values.py": "X = 3\nclass Model:\n    depth = 4\n    def __init__(self):\n        self.width = [1, 2]\n",
}


def ours(root: Path, path: str) -> dict[str, Any]:
    def load(name: str) -> Any:
        file = root / name
        return parse_params(file.read_text(), name) if file.is_file() else None

    try:
        stages = expand_pipeline(load_yaml((root / path).read_text(), path), "", load)
    except CharkhError as error:
        return {"error": error.message}
    return {"stages": json.loads(json.dumps(stages))}


def test_pipelines_are_expanded_as_dvc_expands_them(dvc: Repository) -> None:
    for name, text in {**FILES, **{f"{name}.yaml": text for name, text in PIPELINES.items()}}.items():
        dvc.write(name, text)
    script = Path(__file__).parent / "resolving.py"
    command = [str(peer_program("dvc", "python")), str(script), *(f"{name}.yaml" for name in PIPELINES)]
    done = subprocess.run(command, cwd=dvc.root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for name, theirs in zip(PIPELINES, json.loads(done.stdout), strict=True):
        found = ours(dvc.root, f"{name}.yaml")
        if "error" in theirs:
            assert "error" in found, (name, theirs, found)
        else:
            assert found == theirs, name
            assert list(found["stages"]) == list(theirs["stages"]), name


PIPELINE = """\
vars:
- out: data
stages:
  # the beginning of everything
  prepare:
    cmd:
    - mkdir -p ${out}/sub
    - cp raw.txt ${out}/sub/a.txt && echo ${n} > ${out}/n.txt
    deps: [raw.txt]
    params: [n]
    outs: ['${out}']
  train:
    foreach: ${models}
    do:
      cmd: sh ../fit.sh ${item} > model-${item}.bin
      wdir: work
      deps: [../data, ../fit.sh]
      params:
      - ../params.yaml: [train.rate]
      - ../other.json:
      outs: ['model-${item}.bin']
  score:
    matrix:
      model: ${models}
      k: [1, 2]
    cmd: >-
      echo '{"auc": 0.${item.k}, "name": "x", "by": {"de": 1}}' > score-${key}.json;
      printf 'x,y\\n1,2\\n' > plot-${key}.csv
    deps: ['work/model-${item.model}.bin']
    metrics:
    - score-${key}.json: {cache: false}
    plots:
    - plot-${key}.csv: {x: x, y: y, cache: false}
  note:
    cmd: date +%N >> log.txt
    outs:
    - log.txt: {persist: true}
    always_changed: true
  still:
    cmd: exit 1
    deps: [raw.txt]
    outs: [kept]
    frozen: true
"""


@pytest.fixture
def pipeline(dvc: Repository) -> Repository:
    dvc.write("raw.txt", "raw\n")
    dvc.write("fit.sh", "cat ../data/n.txt; echo $1\n").chmod(0o755)
    dvc.write("params.yaml", "n: 3\nmodels: [svm, tree]\ntrain:\n  rate: 0.5\n")
    dvc.write("other.json", '{"b": [1, 2], "a": "x"}')
    dvc.write("dvc.yaml", PIPELINE)
    (dvc.root / "work").mkdir()
    return dvc


def outcomes(done: list[dict[str, Any]]) -> dict[str, str]:
    return {each["stage"]: each["outcome"] for each in done}


def test_stages_run_and_dvc_calls_the_lock_clean(pipeline: Repository, charkh: Charkh, tmp_path: Path) -> None:
    # A copy that the real DVC runs says what the lock should be.
    theirs = pipeline.copy(tmp_path / "theirs")
    theirs.write("dvc.yaml", PIPELINE[: PIPELINE.index("  note:")])
    theirs("repro", "-q")

    done = charkh.json("dvc", "repro", "-r", pipeline.root)
    assert outcomes(done) == {
        "prepare": "executed",
        "train@svm": "executed",
        "train@tree": "executed",
        "score@svm-1": "executed",
        "score@svm-2": "executed",
        "score@tree-1": "executed",
        "score@tree-2": "executed",
        "note": "executed",
        "still": "frozen",
    }
    lock = load_yaml((pipeline.root / "dvc.lock").read_text(), "")
    expected = load_yaml((theirs.root / "dvc.lock").read_text(), "")
    for name, entry in expected["stages"].items():
        assert lock["stages"][name] == entry
        assert json.dumps(lock["stages"][name]) == json.dumps(entry), "the order of fields, too"

    said = json.loads(pipeline("status", "--json"))
    assert said.keys() == {"note", "still"}
    assert said["note"] == ["always changed"]
    # For its run cache DVC keeps what is not to be cached, too.
    kept = {name: data for name, data in made_objects(theirs).items() if not data.startswith((b'{"auc"', b"x,y"))}
    assert len(kept) >= 5
    assert kept.items() <= made_objects(pipeline).items()

    again = charkh.json("dvc", "repro", "-r", pipeline.root / "work", "train", "score")
    assert set(outcomes(again).values()) == {"unchanged"}
    (run,) = [each for each in charkh.json("run", "search", "--limit", "20") if each_name(each) == "score@svm-2"]
    told = json.dumps(charkh.json("run", "show", run_id(run)))
    assert '"auc"' in told
    assert "plot-svm-2.csv" in told


def made_objects(repository: Repository) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in repository.root.glob(".dvc/cache/files/md5/*/*")}


def each_name(run: dict[str, Any]) -> str:
    return run["started"]["name"] if "started" in run else run["name"]


def run_id(run: dict[str, Any]) -> str:
    return run["started"]["run"] if "started" in run else run["id"]


def test_what_was_made_before_is_reused_and_reasons_are_told(pipeline: Repository, charkh: Charkh) -> None:
    text = PIPELINE[: PIPELINE.index("  note:")]
    pipeline.write("dvc.yaml", text)
    charkh("dvc", "repro", "-r", pipeline.root)
    before = (pipeline.root / "dvc.lock").read_text()
    pipeline.write("params.yaml", "n: 4\nmodels: [svm, tree]\ntrain:\n  rate: 0.5\n")
    (foreseen, *rest) = charkh.json("dvc", "repro", "-r", pipeline.root, "--dry")
    assert foreseen["reasons"] == ["its command changed", "params.yaml: n changed"]
    assert {each["outcome"] for each in rest} == {"would run"}
    charkh("dvc", "repro", "-r", pipeline.root)
    assert (pipeline.root / "data/n.txt").read_text() == "4\n"
    assert (pipeline.root / "dvc.lock").read_text() != before

    pipeline.write("params.yaml", "n: 3\nmodels: [svm, tree]\ntrain:\n  rate: 0.5\n")
    shutil.rmtree(pipeline.root / "data")
    assert set(outcomes(charkh.json("dvc", "repro", "-r", pipeline.root)).values()) == {"reused"}
    assert (pipeline.root / "dvc.lock").read_text() == before
    assert (pipeline.root / "data/n.txt").read_text() == "3\n"
    assert "up to date" in pipeline("status")


def test_a_failure_keeps_the_locks_before_it(dvc: Repository, charkh: Charkh) -> None:
    dvc.write(
        "dvc.yaml",
        textwrap.dedent("""\
            stages:
              one: {cmd: 'echo 1 > one', outs: [one]}
              two: {cmd: 'cat one > two; exit 3', deps: [one], outs: [two]}
              three: {cmd: 'cat two > three', deps: [two], outs: [three]}
              apart: {cmd: 'echo 4 > apart', outs: [apart]}
              nothing: {cmd: 'true', outs: [never]}
            """),
    )
    done = charkh.run("dvc", "repro", "-r", dvc.root, "--keep-going", "--json")
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert outcomes(found) == {
        "one": "executed",
        "two": "failed",
        "three": "skipped",
        "apart": "executed",
        "nothing": "failed",
    }
    assert "ended with 3" in found[1]["error"]
    assert list(load_yaml((dvc.root / "dvc.lock").read_text(), "")["stages"]) == ["one", "apart"]
    assert outcomes(json.loads(charkh.run("dvc", "repro", "-r", dvc.root, "--json").stdout)) == {
        "one": "unchanged",
        "two": "failed",
    }


def test_what_cannot_be_run_is_told(dvc: Repository, charkh: Charkh) -> None:
    dvc.write("dvc.yaml", "stages:\n  a: {cmd: x, deps: [b], outs: [a]}\n  b: {cmd: x, deps: [a], outs: [b]}\n")
    assert "a circle: a → b → a" in charkh.fails(14, "dvc", "repro", "-r", dvc.root)
    dvc.write("dvc.yaml", "stages:\n  a: {cmd: x, outs: [a]}\n  b: {cmd: x, outs: [a]}\n")
    assert "made by a and by b" in charkh.fails(14, "dvc", "list", "-r", dvc.root)
    dvc.write("dvc.yaml", "stages:\n  a: {cmd: x, deps: [none], outs: [a]}\n")
    assert "there is no" in charkh.fails(3, "dvc", "repro", "-r", dvc.root)
    assert "no stage 'z'" in charkh.fails(13, "dvc", "repro", "z", "-r", dvc.root)
    dvc.write(".dvcignore", "*.tmp\n")
    assert ".dvcignore" in charkh.fails(2, "dvc", "repro", "-r", dvc.root)
