"""Stages by themselves; `tests/bridges/dvc` compares them with the real DVC's."""

from pathlib import Path

import pytest

from charkh.bridges.dvc.params import numbers, parse_params, select_params
from charkh.bridges.dvc.stage_state import lock_entry, measure, reasons_to_run, state_of, write_lock
from charkh.bridges.dvc.stages import Stage, StageOutput, in_order, read_stages, upstream
from charkh.bridges.dvc.yaml_text import load_yaml
from charkh.core.errors import Conflict, Invalid, NotFound

TEXTS = {
    "dvc.yaml": """\
stages:
  c: {cmd: x, deps: [b/inside.txt], outs: [c]}
  a: {cmd: x, outs: [a]}
  b: {cmd: x, deps: [a], outs: [b]}
  still: {cmd: x, deps: [c], outs: [s], frozen: true}
  group: {foreach: [1, 2], do: {cmd: 'x ${item}', deps: [c]}}
""",
    "sub/dvc.yaml": "stages:\n  d: {cmd: x, wdir: deep, deps: [../../c], params: [n, other.toml: [k]], outs: [d]}\n",
}


def test_stages_stand_behind_what_they_need() -> None:
    stages = read_stages(TEXTS)
    assert upstream(stages)["sub/dvc.yaml:d"] == ("c",)
    assert [stage.address for stage in in_order(stages, ["sub/dvc.yaml"])] == ["a", "b", "c", "sub/dvc.yaml:d"]
    assert [stage.address for stage in in_order(stages, ["group"], alone=True)] == ["group@1", "group@2"]
    assert [stage.address for stage in in_order(stages, ["still"])] == ["still"]
    with pytest.raises(NotFound, match="no stage 'z'"):
        in_order(stages, ["z"])
    (deep,) = in_order(stages, ["sub/dvc.yaml:d"], alone=True)
    assert (deep.folder, deep.place("d"), deep.lock_file) == ("sub/deep", "sub/deep/d", "sub/dvc.lock")
    assert deep.params == {"params.yaml": ("n",), "other.toml": ("k",)}


def test_a_circle_and_two_makers_are_told() -> None:
    circle = "stages:\n  a: {cmd: x, deps: [b], outs: [a]}\n  b: {cmd: x, deps: [a], outs: [b]}\n"
    with pytest.raises(Conflict, match="circle"):
        in_order(read_stages({"dvc.yaml": circle}))
    with pytest.raises(Conflict, match="is made by a and by b"):
        read_stages({"dvc.yaml": "stages:\n  a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o]}\n"})


@pytest.mark.parametrize("text", ["stages:\n  a: 3\n", "stages:\n  a: {deps: [x]}\n", "stages:\n  a: {cmd: ''}\n"])
def test_what_is_no_stage_is_told(text: str) -> None:
    with pytest.raises(Invalid):
        read_stages({"dvc.yaml": text})


def test_params_are_read_by_suffix_and_dotted_key() -> None:
    code = "A = 1\nB: int = {'x': (1, 2)}\nC = call()\nclass M:\n    d = 'e'\n"
    values = parse_params(f"{code}    def __init__(self):\n        self.f = 0.5\n", "p.py")
    assert select_params(values, ["A", "B.x.1", "M.f"], "p.py") == {"A": 1, "B.x.1": 2, "M.f": 0.5}
    assert select_params(parse_params("a: {b: [1, 2]}", "p.yaml"), [], "p.yaml") == {"a": {"b": [1, 2]}}
    assert parse_params("[t]\nk = 1\n", "p.toml") == {"t": {"k": 1}}
    for key in ("z", "A.z", "B.z", "B.x.9"):
        with pytest.raises(Invalid, match=r"p\.py has no"):
            select_params(values, [key], "p.py")
    for name in ("p.json", "p.toml", "p.py", "p.yaml"):
        with pytest.raises(Invalid):
            parse_params("{[", name)


def test_numbers_of_a_metrics_file_have_dotted_names() -> None:
    assert numbers({"a": {"b": 1, "c": [1]}, "d": 0.5, "e": True, "f": "x"}) == {"a.b": 1.0, "d": 0.5}
    assert numbers(3) == {"value": 3.0}


def test_a_lock_changes_where_its_stage_does_and_keeps_comments(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x").write_text("x")
    (tmp_path / "params.yaml").write_text("n: 1\nm: 2\n")
    stage = Stage(
        name="s",
        file="dvc.yaml",
        cmd=("one", "two"),
        deps=("in",),
        params={"params.yaml": ("n", "m")},
        outputs=(StageOutput(path="out"),),
    )
    path = tmp_path / "dvc.lock"
    path.write_text("schema: '2.0'\nstages:\n  other:\n    cmd: y # as it was\n")
    state = state_of(tmp_path, stage)
    assert reasons_to_run(tmp_path, stage, state, None) == ["it has not run yet"]
    write_lock(path, "s", lock_entry(stage, state, {"out": measure(tmp_path / "out")}))
    assert "# as it was" in path.read_text()
    locked = load_yaml(path.read_text(), "")["stages"]["s"]
    assert list(locked["params"]["params.yaml"]) == ["m", "n"]
    assert reasons_to_run(tmp_path, stage, state, locked) == []
    (tmp_path / "in").write_text("more")
    (tmp_path / "out/y").write_text("y")
    (tmp_path / "params.yaml").write_text("n: 1\nm: 3\n")
    again = state_of(tmp_path, stage)
    assert reasons_to_run(tmp_path, stage, again, locked) == ["in changed", "params.yaml: m changed", "out changed"]
    (tmp_path / "in").unlink()
    with pytest.raises(NotFound, match="there is no"):
        state_of(tmp_path, stage)
