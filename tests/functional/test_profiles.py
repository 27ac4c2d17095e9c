"""Profiles, drift, history and suites that go with the data, as a user works with them month by month."""

import csv
import json
import random
from pathlib import Path

from tests.functional.conftest import Charkh


def month(charkh: Charkh, number: int, *, rows: int = 400, shift: float = 0.0, carriers: str = "AA UA DL") -> Path:
    """A file of one month."""
    source = random.Random(number)
    lines = [["id", "carrier", "dist", "code"]]
    for place in range(rows):
        dist = f"{source.gauss(1000 + shift, 200):.1f}" if source.random() > 0.02 else ""
        lines.append(
            [str(number * 10_000 + place), source.choice(carriers.split()), dist, f"K{source.randint(100, 999)}"]
        )
    path = charkh.folder / f"m{number}.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def test_an_appended_batch_is_profiled_alone_and_the_profile_is_found_again(charkh: Charkh) -> None:
    for number in (1, 2):
        charkh("dataset", "add", "fl", month(charkh, number), "--append")
        profile = charkh.json("dataset", "profile", "fl")
    assert (profile["ref"], profile["rows"]) == ("fl@2", 800)
    dist = next(column for column in profile["columns"] if column["name"] == "dist")
    assert 0 < dist["missing_share"] < 0.06
    assert 900 < dist["quantiles"]["0.5"] < 1100
    assert charkh.json("dataset", "profile", "fl") == profile
    told = charkh.python(
        "import charkh.datasets.profile.keep as keep\n"
        "from pathlib import Path\n"
        "from charkh.workspace.workspace import open_workspace\n"
        "from charkh.datasets.find import find\n"
        "from charkh.datasets.profile.measure import profile_frame\n"
        "from charkh.datasets.read import read_table\n"
        "with open_workspace(Path('.')) as workspace:\n"
        "    store = workspace.store\n"
        "    version = find(store, 'fl')\n"
        "    kept = keep.profile_of(store, version)\n"
        "    whole = profile_frame(read_table(store, version))\n"
        "    print([(a.histogram, a.distinct, a.missing) == (b.histogram, b.distinct, b.missing)\n"
        "           for a, b in zip(kept.columns, whole.columns)])\n"
        "    keep.scan_table = None\n"
        "    keep.profile_of(store, version)\n"
    )
    assert json.loads(told.lower()) == [True] * 4
    page = charkh.folder / "out" / "p.html"
    charkh("dataset", "profile", "fl", "--html", page)
    assert "<svg" in page.read_text()
    assert "http" not in page.read_text().replace("http-equiv", "")


def test_drift_is_found_and_told_and_fails_where_it_is_asked_to(charkh: Charkh) -> None:
    charkh("dataset", "add", "a", month(charkh, 1))
    charkh("dataset", "add", "a", month(charkh, 2))
    charkh("dataset", "add", "a", month(charkh, 3, shift=200, carriers="AA UA DL ZZ"))
    assert "0 of 3 columns drifted" in charkh(
        "check", "drift", "a@1", "a@2", "-c", "dist", "-c", "carrier", "-c", "code"
    )
    found = charkh.json("check", "drift", "a@2", "a@3", "-c", "dist", "-c", "carrier")
    assert {column["column"] for column in found["drifted"]} == {"dist", "carrier"}
    assert "drifted" in charkh.fails(4, "check", "drift", "a@2", "a@3", "--strict")
    charkh.fails(13, "check", "drift", "model:none@1", "a")


def test_a_suite_is_inferred_edited_updated_and_run(charkh: Charkh) -> None:
    charkh("dataset", "add", "fl", month(charkh, 1))
    charkh("check", "infer", "fl", "-o", "checks/fl.toml")
    path = charkh.folder / "checks" / "fl.toml"
    text = path.read_text()
    assert "# only 3 values in 400 rows" in text
    edited = text.replace('values = ["AA", "DL", "UA"]', 'values = ["AA", "DL", "UA", "WN"] # mine')
    begin = edited.index("[[rule]]\n# every value is 4")
    edited = edited[:begin] + edited[edited.index("\n# proposed:") :]
    path.write_text(edited)
    assert "0 rules added" in charkh("check", "infer", "fl", "--update", path)
    assert path.read_text() == edited
    charkh.write("more.csv", "id,carrier,dist,code,seats\n" + "".join(f"{n},AA,1,K123,{n % 7}\n" for n in range(40)))
    charkh("dataset", "add", "wider", "more.csv")
    added = charkh.json("check", "infer", "wider", "--update", path)["added"]
    assert "column(seats)" in added
    assert "pattern(code)" not in added
    assert "# mine" in path.read_text()
    assert path.read_text().count("# proposed:") == 1
    assert json.loads(charkh("check", "run", path, "wider", "--json"))["check"]["ran"]["rows"] == 40


def test_rules_that_compare_with_other_data_find_it(charkh: Charkh) -> None:
    charkh.write("carriers.csv", "code,name\nAA,American\nUA,United\nDL,Delta\n")
    charkh("dataset", "add", "carriers", "carriers.csv")
    charkh.write(
        "c.toml",
        """
        [[rule]]
        check = "foreign"
        columns = "carrier"
        to = "carriers"
        to_columns = "code"
        at_most = 0.9
        [[rule]]
        check = "drift"
        columns = ["dist"]
        severity = "warning"
        [[rule]]
        check = "history"
        metric = "rows"
        rise = 0.5
        severity = "warning"
        """,
    )
    charkh("dataset", "add", "fl", month(charkh, 1))
    first = charkh.json("check", "run", "c.toml", "fl")["outcomes"]
    assert [outcome["status"] for outcome in first] == ["passed", "skipped", "skipped"]
    charkh("dataset", "add", "fl", month(charkh, 2, rows=800, shift=300, carriers="AA ZZ"))
    second = charkh.json("check", "run", "c.toml", "fl")["outcomes"]
    assert [outcome["status"] for outcome in second] == ["set_aside", "warned", "warned"]
    history = charkh.json("check", "history", "fl", "-m", "rows")
    assert history["versions"] == ["fl@1", "fl@2"]
    assert history["metrics"][0]["values"] == [400, 800]
    assert "rows" in charkh("check", "history", "fl")
    charkh.write("bad.toml", '[[rule]]\ncheck = "foreign"\ncolumns = "carrier"\nto = "nowhere"')
    assert "nowhere" in charkh.fails(13, "check", "run", "bad.toml", "fl")


def test_a_forgotten_person_leaves_the_profiles_too(charkh: Charkh) -> None:
    rows = "".join(f"person{place},{place}\n" for place in range(30))
    charkh.write("people.csv", f"name,age\n{rows}aa-zarathustra,44\n")
    charkh.write("more.csv", "name,age\nbob,3\n")
    charkh("dataset", "add", "people", "people.csv")
    charkh("dataset", "profile", "people")
    charkh("dataset", "add", "people", "more.csv", "--append")
    assert "aa-zarathustra" in charkh("dataset", "profile", "people")
    charkh("dataset", "forget", "--where", "name == 'aa-zarathustra'", "--all", "--yes")
    assert "nothing of it is left" in charkh(
        "dataset", "forget", "--where", "name == 'aa-zarathustra'", "--all", "--verify"
    )
    (charkh.folder / "people.csv").unlink()
    profile = charkh.json("dataset", "profile", "people@1")
    assert (profile["rows"], profile["columns"][1]["greatest"]) == (30, 29)
    assert charkh.json("dataset", "profile", "people@2")["rows"] == 31
    assert charkh.json("check", "history", "people", "-m", "rows")["metrics"][0]["values"] == [30, 31]
