"""The README's life cycle runs as it stands there, and ends where it says."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
from tests.functional.conftest import Charkh

README = Path(__file__).parent.parent.parent / "README.md"
RECIPE = {
    "recipe": 1,
    "steps": [{"op": "derive", "column": "late", "value": "delay > 15"}, {"op": "drop", "columns": ["delay"]}],
}
CHECKS = """
format = 1
[[rule]]
check = "range"
column = "distance"
min = 1
reason = "no trip is that short"
"""


def life_cycle() -> str:
    """The first Python block."""
    return python_blocks()[0]


def python_blocks() -> list[str]:
    """The Python blocks, in order: a whole life cycle, and runs."""
    life, runs = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return [life, runs]


def trips(rows: int = 1200) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    distance = draw.integers(100, 3000, rows)
    distance[:5] = -1
    return pl.DataFrame(
        {
            "day": [f"2024-{1 + place * 3 // rows:02d}-{1 + place % 28:02d}" for place in range(rows)],
            "hour": draw.integers(5, 23, rows),
            "distance": distance,
            "delay": draw.normal(10, 10, rows) + draw.integers(0, 2, rows) * 10,
        }
    )


def test_the_life_cycle_is_short() -> None:
    assert (
        sum(1 for line in life_cycle().splitlines() if line.strip() and not line.startswith(("import", "from"))) <= 20
    )


def test_the_life_cycle_runs(charkh: Charkh) -> None:
    trips().write_csv(charkh.folder / "trips.csv")
    charkh.write("recipes/trips.json", json.dumps(RECIPE))
    charkh.write("checks/trips.toml", CHECKS)
    charkh.write("life.py", life_cycle())
    charkh.python("import runpy; runpy.run_path('life.py')")
    (settings,) = re.findall(r"```toml\n(# charkh.toml\n.*?)```", README.read_text(), re.DOTALL)
    charkh.write("charkh.toml", settings)
    charkh("model", "alias", "late@1", "champion")
    assert charkh("endpoint", "deploy", "late").startswith("late answers with late@1")
    (model,) = charkh.json("model", "list")
    assert (model["name"], model["aliases"]) == ("late", {"champion": 1})
    assert {each["name"] for each in charkh.json("dataset", "list")} == {"trips", "trips.clean", "trips.quarantine"}
    traced = charkh("trace", "late@champion")
    assert "trips.clean@1" in traced
    assert charkh("trace", "late") == traced, "a name means its newest version"
    assert "trips@1" in charkh("trace", "trips").splitlines()[0]
    assert "there is no model or dataset nobody@1" in charkh.fails(13, "trace", "nobody@1")
    assert "nothing here is called 'nobody'" in charkh.fails(2, "trace", "nobody")
    assert "rows 1 to 1,200" in traced


def test_the_runs_are_found_as_it_says(charkh: Charkh) -> None:
    charkh.python(python_blocks()[1])
    (command,) = re.findall(r"^\$ charkh (run search .*?)$", README.read_text(), re.MULTILINE)
    (run,) = charkh.json(*shlex.split(command))
    assert run["metrics"]["auc"] == 0.68
    assert run["params"] == {"depth": 8, "seed": 1}
    (command,) = re.findall(r"^\$ charkh (run group .*?) +#", README.read_text(), re.MULTILINE)
    assert charkh.json(*shlex.split(command))
