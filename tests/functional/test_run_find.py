"""Hyperparameters were changed, and nobody remembers which model, with which ones, had which score: ask."""

import os
from pathlib import Path

import polars as pl

from functional.conftest import Charkh

TRAIN = """
import random
import charkh

for model, gain in (("forest", 0.0), ("boost", 0.1)):
    for rate in (0.1, 0.3):
        for seed in range(6):
            params = {"model": model, "opt": {"rate": rate}, "seed": seed}
            name, goals = f"{model} {rate} {seed}", {"score": "max"}
            with charkh.run(name, params=params, project="flights/delay", goals=goals, system=False) as run:
                for epoch in range(5):
                    charkh.log(score=0.5 + gain + rate / 100 + seed / 1000 - abs(epoch - 3) / 50, step=epoch)
"""


def test_who_does_not_remember_asks(charkh: Charkh) -> None:
    charkh.python(TRAIN)
    best = charkh(
        "run", "search", "best(metrics.score) > 0.6", "--order", "best(metrics.score) desc", "-n", "2",
        "--columns", "params.model,params.opt.rate,best(metrics.score),first(metrics.score),count(metrics.score)",
    )  # fmt: skip
    assert [line.split("\t")[-5:] for line in best.splitlines()[1:]] == [
        ["boost", "0.3", "0.608", "0.548", "5"],
        ["boost", "0.3", "0.607", "0.547", "5"],
    ]
    following = charkh.json("run", "search", "--order", "best(metrics.score) desc", "-n", "1", "--offset", "2")
    assert [run["name"] for run in following] == ["boost 0.3 3"]
    told = charkh.run("run", "search", "metrics.scroe > 0.6")
    assert "no run has a metric 'scroe': did you mean score?" in told.stderr
    assert "did you mean metrics.score, params.score, tags.score" in charkh.fails(2, "run", "search", "score > 0.6")
    assert len(charkh.json("run", "list", "--project", "flights", "-n", "100")) == 24
    assert len(charkh.json("run", "search", "project ~ 'flights/*' and created > -1h and script is null")) == 24

    groups = charkh.json("run", "group", "params.opt.rate = 0.3", "--metric", "score")
    assert [each["config"]["params.model"] for each in groups["groups"]] == ["boost", "forest"]
    assert (groups["verdict"]["pairs"], groups["verdict"]["better"]) == (6, "second")
    printed = charkh("run", "group", "--metric", "score", "--by", "model")
    assert printed.splitlines()[0] == "params.model\truns\tmetrics.score\t± 95 %\tsd\tmin\tmax"
    compared = charkh("run", "compare", "boost 0.3 5", "forest 0.3 5")
    assert "params\tmodel\tboost\tforest" in compared
    assert "(-0.1, -17" in compared

    charkh("run", "export", "params.seed = 0", "-o", "runs.parquet", "--order", "name")
    frame = pl.read_parquet(charkh.folder / "runs.parquet")
    assert frame["params.model"].to_list() == ["boost", "boost", "forest", "forest"]
    exported = charkh.json("run", "export", "params.seed = 0", "-o", "points.csv", "--metrics-history")
    assert (exported["rows"], pl.read_csv(charkh.folder / "points.csv").height) == (20, 20)
    asked = "select p.value, max(m.max) from metrics m join params p using (run) where p.name = 'model' group by 1"
    assert charkh("sql", f"{asked} order by 2").splitlines()[1:] == ["forest\t0.508", "boost\t0.608"]
    assert "Permission" in charkh.fails(2, "sql", "select * from read_csv('/etc/passwd')")


def test_a_shell_that_searches_loads_no_numbers(charkh: Charkh) -> None:
    charkh.python("import charkh\nwith charkh.run('a', params={'x': 1}): charkh.log(auc=0.5)")
    code = (
        "import sys\nfrom charkh.cli.main import main\n"
        "try:\n    main(['run', 'search', 'metrics.auc > 0 and params.x = 1'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('numpy', 'polars', 'duckdb') if name in sys.modules])"
    )
    assert charkh.python(code).splitlines()[-1] == "[]"


def test_the_trash_and_how_bytes_are_really_freed(charkh: Charkh) -> None:
    (charkh.folder / "charkh.toml").write_text('[gc]\nyoung = "0s"\ngrace = "0s"\n')
    code = (
        "import charkh, os\nfor name in ('a', 'b'):\n    with charkh.run(name, project='old', system=False) as run:\n"
    )
    code += "        run.add_artifact('model.bin', os.urandom(3_000_000))\n        charkh.log(loss=1)\nprint(run.id)"
    charkh.python(code)
    full = size_of(charkh.folder / ".charkh" / "packs")
    assert full > 6_000_000
    charkh("run", "delete", "a")
    charkh.fails(13, "run", "show", "a")
    assert [run["name"] for run in charkh.json("run", "list", "--deleted")] == ["a"]
    assert charkh.json("run", "purge", "--older-than", "14d")["runs"] == []
    charkh("run", "restore", "a")
    assert len(charkh.run("run", "artifact", "a", "model.bin", "-o", "a.bin").stderr) == 0, "nothing was freed yet"
    charkh("run", "delete", "a", "b")
    assert len(charkh.json("run", "purge", "--older-than", "0s")["runs"]) == 2
    charkh.fails(13, "run", "restore", "a")
    charkh("gc", "--yes")
    charkh("gc", "--yes")
    assert size_of(charkh.folder / ".charkh" / "packs") < 100_000
    assert charkh("fsck")


def test_projects_are_listed_renamed_thrown_away_and_taken_back(charkh: Charkh) -> None:
    charkh("project", "create", "flights/delay")
    charkh.fails(14, "project", "create", "flights/delay")
    charkh.python("import charkh\nwith charkh.run('a', project='flights/delay', system=False): pass")
    charkh("project", "rename", "flights/delay", "flights/late")
    assert charkh.json("project", "tag", "flights/late", "team=red")["tags"] == {"team": "red"}
    assert {each["project"]["name"]: each["runs"] for each in charkh.json("project", "list")} == {
        "Default": 0,
        "flights/late": 1,
    }
    charkh("project", "delete", "flights/late")
    assert charkh.json("run", "list") == []
    assert charkh.json("project", "list", "--deleted")[0]["runs"] == 1
    charkh("project", "restore", "flights/late")
    (run,) = charkh.json("run", "list")
    assert charkh("run", "rename", run["started"]["run"], "b") == ""
    assert [each["name"] for each in charkh.json("run", "list")] == ["b"]
    charkh.fails(14, "project", "delete", "Default")


def size_of(folder: Path) -> int:
    return sum((Path(root) / name).stat().st_size for root, _, names in os.walk(folder) for name in names)
