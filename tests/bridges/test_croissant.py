"""Croissant: MLCommons' own validator takes what is exported without an error, and reads the same rows."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.functional.conftest import Charkh

from peers import peer_program

READ = """
import json, sys
import mlcroissant
data = mlcroissant.Dataset(sys.argv[1])
rows = [
    {name.partition("/")[2]: value.decode() if isinstance(value, bytes) else str(value) for name, value in row.items()}
    for row in data.records("records")
]
print(json.dumps({"errors": sorted(data.metadata.issues.errors), "rows": rows, "name": data.metadata.name}))
"""


def read(document: Path) -> dict[str, object]:
    done = subprocess.run(
        [peer_program("croissant", "python"), "-c", READ, document], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.needs("peer:croissant")
def test_the_validator_reads_the_rows_of_a_table_of_several_files(charkh: Charkh, tmp_path: Path) -> None:
    charkh("dataset", "add", "flights", charkh.write("jan.csv", "carrier,late by,moved\nUA,12,true\nAA,-3,false\n"))
    charkh(
        "dataset", "add", "flights", charkh.write("february 2013.csv", "carrier,late by,moved\nDL,7,true\n"), "--append"
    )
    charkh("export", "croissant", "flights", tmp_path / "out", "--license", "cc-by-4.0", "--creator", "Ann Example")
    found = read(tmp_path / "out" / "croissant.json")
    assert found["errors"] == []
    assert found["name"] == "flights"
    carriers = [(row["carrier"], row["late_by"]) for row in found["rows"]]  # type: ignore[attr-defined]
    assert sorted(carriers) == [("AA", "-3"), ("DL", "7"), ("UA", "12")]


@pytest.mark.needs("peer:croissant")
def test_the_validator_notices_a_file_that_was_changed(charkh: Charkh, tmp_path: Path) -> None:
    charkh("dataset", "add", "flights", charkh.write("jan.csv", "carrier,late\nUA,12\n"))
    charkh("export", "croissant", "flights", tmp_path / "out", "--license", "cc-by-4.0")
    assert read(tmp_path / "out" / "croissant.json")["errors"] == []
    (tmp_path / "out" / "jan.csv").write_text("carrier,late\nUA,13\n")
    done = subprocess.run(
        [peer_program("croissant", "python"), "-c", READ, tmp_path / "out" / "croissant.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "hash" in done.stderr.lower() or "sha256" in done.stderr.lower()


def test_the_license_of_the_card_is_taken_and_a_missing_one_is_asked_for(charkh: Charkh) -> None:
    charkh("dataset", "add", "pictures", charkh.write("a.bin", b"\x00\x01"), "--message", "Two bytes.")
    said = charkh.run("export", "croissant", "pictures")
    assert said.returncode != 0
    assert "--license" in said.stderr
    charkh("card", "make", "pictures", "--license", "mit")
    document = json.loads(charkh("export", "croissant", "pictures"))
    assert document["license"] == "https://spdx.org/licenses/mit"
    assert document["description"] == "Two bytes."
    assert document["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert "recordSet" not in document
    assert document["distribution"][0]["contentSize"] == "2 B"
