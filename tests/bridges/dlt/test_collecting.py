"""The real dlt brings rows; charkh makes versions of them, and gives dlt the state of the version that is there."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.functional.conftest import Charkh
from tests.peers import peer_program

pytestmark = pytest.mark.needs("peer:dlt")

SCRIPT = """
import json
from pathlib import Path

import dlt

@dlt.resource(name="issues", write_disposition="append")
def issues(number=dlt.sources.incremental("number", initial_value=0)):
    for row in json.loads(Path("issues.json").read_text()):
        if row["number"] > number.last_value:
            yield row

@dlt.resource(name="states", write_disposition="replace")
def states():
    yield json.loads(Path("issues.json").read_text())

@dlt.source
def both():
    return issues(), states()

def broken():
    raise ValueError("the service is closed; token=abcdefgh12345678")
"""


@pytest.fixture
def charkh(tmp_path: Path) -> Charkh:
    command = Charkh(tmp_path)
    command("init")
    command.write("sources/tracker.py", SCRIPT)
    for name, table in (("issues", ""), ("states", ""), ("both", "issues"), ("broken", "")):
        with (tmp_path / "charkh.toml").open("a") as settings:
            settings.write(f'[source.{name}]\nkind = "dlt"\nscript = "sources/tracker.py:{name}"\n')
            settings.write(f'python = "{peer_program("dlt", "python")}"\ntable = "{table}"\n')
    return command


def put(charkh: Charkh, *numbers: int) -> None:
    rows = [{"number": number, "title": f"issue {number}"} for number in numbers]
    charkh.write("issues.json", json.dumps(rows))


def fetch(charkh: Charkh, name: str) -> Any:
    (outcome,) = charkh.json("source", "fetch", name)["done"]
    return outcome


def numbers_of(charkh: Charkh, ref: str) -> list[int]:
    charkh("dataset", "checkout", ref, f"out-{ref}")
    found = pl.read_parquet(charkh.folder / f"out-{ref}" / "*.parquet")
    assert found.columns == ["number", "title"]
    return sorted(found["number"].to_list())


def test_an_incremental_resource_goes_on_from_the_version_that_is_there(charkh: Charkh) -> None:
    put(charkh, 1, 2)
    assert fetch(charkh, "issues")["version"]["made"]["rows"] == 2
    put(charkh, 1, 2, 3)
    second = fetch(charkh, "issues")["version"]["made"]
    assert (second["rows"], second["batch"]["rows"]) == (3, 1)
    assert fetch(charkh, "issues")["status"] == "nothing new"
    charkh("dataset", "delete", "issues@2")
    assert fetch(charkh, "issues")["version"]["made"]["number"] == 3
    assert numbers_of(charkh, "issues") == [1, 2, 3]


def test_a_resource_that_replaces_is_what_came_last(charkh: Charkh) -> None:
    put(charkh, 1, 2)
    fetch(charkh, "states")
    assert fetch(charkh, "states")["status"] == "nothing new"
    put(charkh, 2)
    fetch(charkh, "states")
    assert numbers_of(charkh, "states") == [2]


def test_a_source_of_several_tables_gives_the_one_that_is_named(charkh: Charkh) -> None:
    put(charkh, 1)
    fetch(charkh, "both")
    assert numbers_of(charkh, "both") == [1]


def test_what_fails_in_dlt_is_said_without_its_secrets(charkh: Charkh) -> None:
    put(charkh, 1)
    said = charkh.fails(16, "source", "fetch", "broken")
    assert "the service is closed" in said
    assert "abcdefgh12345678" not in said
    assert "dry" not in charkh("source", "fetch", "issues", "--dry-run")


def test_an_interpreter_without_dlt_says_what_to_install(charkh: Charkh) -> None:
    path = charkh.folder / "charkh.toml"
    path.write_text(path.read_text().replace(f'python = "{peer_program("dlt", "python")}"\n', ""))
    put(charkh, 1)
    assert "dlt[parquet,filesystem]" in charkh.fails(16, "source", "fetch", "issues")
