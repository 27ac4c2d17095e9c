"""Bad input of each kind gets one clear error that says what to do, and loses nothing."""

import json
import pickle
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.functional.conftest import Charkh

from charkh.demo.client import served

GOOD = "id,hour,late\n" + "".join(f"{number},{number % 24},{int(number % 3 == 0)}\n" for number in range(300))
MODEL = """
import polars as pl, charkh
from sklearn.linear_model import LogisticRegression
rows = charkh.dataset("rows").frame
model = LogisticRegression().fit(rows.select("hour"), rows["late"])
charkh.register("late", charkh.model(model, example=rows.select("hour").head(3)))
"""
TOKEN = """
import charkh
from charkh.workspace.token import token_of
print(token_of(charkh.open_workspace().store_folder))
"""


def says(error: str, *words: str) -> None:
    """The error has all of these words, a hint, and is short."""
    assert all(word in error for word in words), error
    assert "hint:" in error
    assert len(error.splitlines()) <= 4, error


@pytest.fixture
def rows(charkh: Charkh) -> Charkh:
    """A workspace with one good dataset."""
    charkh.write("good.csv", GOOD)
    charkh("dataset", "add", "rows", "good.csv")
    return charkh


def test_a_ragged_csv(rows: Charkh) -> None:
    rows.write("ragged.csv", GOOD + "1,2\n")
    says(rows.fails(2, "dataset", "add", "ragged", "ragged.csv"), "ragged.csv", "302")
    assert [each["name"] for each in rows.json("dataset", "list")] == ["rows"]


def test_an_empty_file(rows: Charkh) -> None:
    rows.write("empty.csv", "")
    says(rows.fails(2, "dataset", "add", "empty", "empty.csv"), "empty.csv")
    assert [each["name"] for each in rows.json("dataset", "list")] == ["rows"]


def test_a_file_that_is_not_there(rows: Charkh) -> None:
    says(rows.fails(13, "dataset", "add", "rows", "nowhere.csv"), "nowhere.csv")


def test_a_missing_column(rows: Charkh) -> None:
    rows.write("checks.toml", 'format = 1\n[[rule]]\ncheck = "not_null"\ncolumns = ["arrival"]\n')
    said = rows.fails(4, "check", "run", "checks.toml", "rows@1")
    assert "arrival" in said
    rows.write("recipe.json", json.dumps({"recipe": 1, "steps": [{"op": "trim", "columns": ["nmae"]}]}))
    says(rows.fails(2, "recipe", "apply", "recipe.json", "rows@1", "--as", "tidy"), "nmae", "step 1")


def test_an_unknown_key_in_the_settings(rows: Charkh) -> None:
    rows.write("charkh.toml", "[sever]\nport = 1\n")
    says(rows.fails(2, "dataset", "list"), "sever", "server")
    rows.write("charkh.toml", "[server]\nporte = 1\n")
    says(rows.fails(2, "dataset", "list"), "server.porte", "port")


def test_a_corrupt_pack(rows: Charkh) -> None:
    for pack in (rows.folder / ".charkh" / "packs").rglob("*"):
        if pack.is_file():
            data = bytearray(pack.read_bytes())
            data[len(data) // 3] ^= 0xFF
            pack.chmod(0o600)
            pack.write_bytes(bytes(data))
    assert rows.run("fsck", "--everything").returncode == 15
    says(rows.fails(15, "dataset", "checkout", "rows@1", "out"), "charkh fsck")
    assert rows.json("dataset", "list")[0]["name"] == "rows"


class Touch:
    """What a hostile pickle would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_model_file_that_would_execute_code(rows: Charkh) -> None:
    marker = rows.folder / "executed"
    rows.write("model.skops", pickle.dumps(Touch(marker)))
    code = (
        "import charkh\nfrom pathlib import Path\nfrom charkh.models.register import register\n"
        "opened = charkh.open_workspace()\n"
        "register(opened.store, 'evil', {'model.skops': Path('model.skops').read_bytes()}, runtimes=opened.runtimes,"
        " example={'hour': [1.0]})\n"
    )
    result = rows.run_python(code)
    assert result.returncode != 0
    assert "Denied" in result.stderr
    assert "would run code" in result.stderr
    assert not marker.exists()
    assert rows.json("model", "list") == []


def test_requests_that_do_not_fit(rows: Charkh) -> None:
    rows.python(MODEL)
    rows.write("charkh.toml", '[endpoint.late]\nmodel = "late@1"\n')
    token = rows.python(TOKEN)
    wrong: dict[str, dict[str, Any]] = {
        "hour": {"name": "hour", "datatype": "BYTES", "shape": [1], "data": ["noon"]},
        "huor": {"name": "huor", "datatype": "INT64", "shape": [1], "data": [1]},
    }
    with served(rows.folder, token.strip(), "late") as client:
        for word, tensor in wrong.items():
            status, said = refused(client.address, token.strip(), {"inputs": [tensor]})
            assert status == 400
            assert word in said
            assert "hour" in said
        status, said = refused(client.address, token.strip(), {"inputs": []})
        assert (status, "hour" in said) == (400, True)


def refused(address: str, token: str, body: object) -> tuple[int, str]:
    """Status, error and hint of a request that must fail."""
    request = urllib.request.Request(
        f"{address}/v2/models/late/infer",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)
    said = json.loads(raised.value.read())
    return raised.value.code, f"{said['error']} {said['hint']}"
