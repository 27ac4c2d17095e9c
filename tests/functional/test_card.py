"""A user has a card written, completes it, and has it rendered; the facts in it follow, the words stay."""

from typing import Any

import pytest
from tests.functional.conftest import Charkh

STORY = """
import sys
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from charkh.datasets.add import add_table
from charkh.evaluations.score import evaluate
from charkh.models.register import register
from charkh.workspace.workspace import open_workspace

number = int(sys.argv[1])
hour = np.random.default_rng(number).random(300) * 24
frame = pl.DataFrame({"hour": hour, "late": (hour > 12).astype(int)})
with open_workspace() as workspace:
    store = workspace.store
    data = add_table(store, "flights", frame)
    model = LogisticRegression().fit(frame.select("hour").to_numpy(), frame["late"].to_numpy())
    version = register(
        store, "delay", model, runtimes=workspace.runtimes, example={"hour": hour[:5]}, datasets=[data.id]
    )
    scores = model.predict_proba(frame.select("hour").to_numpy())[:, 1]
    evaluate(store, about=version.subject, truth=frame["late"], scores=scores, on=data.subject, rounds=50)
"""

PARTS = """---
license: apache-2.0
---

## Intended use

Plan gates.

## Limits and risks

It has never seen snow.
"""


@pytest.fixture
def model(charkh: Any) -> Any:
    """A workspace with a model that was evaluated."""
    charkh.python(f"import sys; sys.argv = ['', '1']\n{STORY}")
    return charkh


def test_a_card_is_made_completed_and_kept(model: Any) -> None:
    assert "incomplete" in model("card", "make", "delay@1")
    assert "3 required parts" in model.fails(4, "card", "lint", "delay@1")
    model.write("parts.md", PARTS)
    assert "card of delay@1: complete" in model("card", "make", "delay", "--text", "parts.md")
    text = model("card", "show", "delay@1")
    assert "It has never seen snow." in text
    assert "| input | hour | FP64[-1] |" in text
    assert 'library_name: "sklearn"' in text
    assert "### On flights@1" in text

    model.write("edited.md", text.replace("Plan gates.", "Plan gates and crews.") + "\n## Thanks\n\nTo Bob.\n")
    assert model.json("card", "record", "delay@1", "edited.md")["made"]["complete"]
    model("card", "make", "delay@1")
    assert "To Bob." in model("card", "show", "delay@1")

    model.python(f"import sys; sys.argv = ['', '2']\n{STORY}")
    assert model.json("card", "make", "delay@2")["made"]["complete"]
    text = model("card", "show", "delay@2")
    assert "# delay@2" in text
    assert "Plan gates and crews." in text
    assert "### On flights@2" in text
    assert {each["made"]["title"] for each in model.json("card", "list")} == {"delay@1", "delay@2"}


def test_a_card_is_rendered_and_a_dataset_has_one_too(model: Any) -> None:
    model("card", "make", "delay@1", "--license", "mit")
    model("card", "render", "delay@1", "-o", "card.html")
    page = (model.folder / "card.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "charkh:made" not in page
    assert "<script" not in page
    assert "card make" in model.fails(13, "card", "show", "flights")
    made = model.json("card", "make", "flights", "--license", "cc0-1.0")
    assert made["made"]["title"] == "flights@1"
    missing = [finding["where"] for finding in made["made"]["findings"] if finding["severity"] == "required"]
    assert missing == ["Intended use", "Collection", "Limits and risks"]
    assert made["made"]["complete"] is False

    model.write("bad.md", b"\xff\xfe")
    model.fails(2, "card", "record", "delay@1", "bad.md")


def test_advice_fails_only_where_it_is_asked_for(model: Any) -> None:
    model.write("parts.md", PARTS)
    model("card", "make", "delay@1", "--text", "parts.md")
    findings = model.json("card", "lint", "delay@1")["findings"]
    assert {each["severity"] for each in findings} == {"advice"}
    assert "card.no_run" in {each["code"] for each in findings}
    assert "findings" in model.fails(4, "card", "lint", "delay@1", "--strict")
    model("model", "alias", "delay@1", "champion")
    assert "card.stale" in {each["code"] for each in model.json("card", "lint", "delay@1")["findings"]}
    assert "alias champion: delay@1" not in model("card", "show", "delay@1")
    model("card", "make", "delay@1")
    assert "alias champion: delay@1" in model("card", "show", "delay@1")
    assert "card.stale" not in {each["code"] for each in model.json("card", "lint", "delay@1")["findings"]}
    model.write("other.md", "# x\n")
    assert "card.no_front_matter" in model.run("card", "lint", "delay@1", "--file", "other.md", "--json").stdout


def test_technical_documentation_is_filled_and_kept(model: Any) -> None:
    model.write("parts.md", PARTS)
    model("card", "make", "delay@1", "--text", "parts.md")
    assert "to be written" in model("card", "annex-iv", "delay@1", "-o", "annex.md")
    text = (model.folder / "annex.md").read_text()
    assert "> Plan gates." in text
    assert "#### On flights@1" in text
    model.write("annex.md", text.replace("**To be written:** that hardware.", "Any laptop."))
    told = model.json("card", "annex-iv", "delay@1", "-o", "annex.md")
    assert {each["number"] for each in told["points"] if each["written"]} == {"1(e)", "6"}
    assert "Any laptop." in (model.folder / "annex.md").read_text()
    model("card", "annex-iv", "delay", "-o", "annex.html")
    page = (model.folder / "annex.html").read_text()
    assert "Any laptop." in page
    assert "charkh:made" not in page
    assert "points" in model.fails(4, "card", "annex-iv", "delay@1", "-o", "annex.md", "--strict")
    assert "neither" in model.fails(2, "card", "annex-iv", "delay@1", "-o", "annex.pdf")
    assert "no registered model" in model.fails(2, "card", "annex-iv", "flights@1")


def test_the_card_of_a_table_says_what_it_holds_and_how_it_grew(charkh: Charkh) -> None:
    charkh("dataset", "add", "flights", charkh.write("jan.csv", "carrier,late,day\nUA,12,2013-01-02\nAA,,2013-01-05\n"))
    charkh("dataset", "add", "flights", charkh.write("feb.csv", "carrier,late,day\nDL,7,2013-02-01\n"), "--append")
    charkh("card", "make", "flights", "--license", "mit")
    card = charkh("card", "show", "flights")
    assert "| late | Int64 | 33.33% | 2 | 7 to 12 |" in card
    assert "| day | Date |  | 3 | 2013-01-02 to 2013-02-01 |" in card
    assert "| carrier | String |  | 3 |  |" in card
    assert "| flights@2 |" in card
    assert '- "n<1K"' in card
    charkh("card", "make", "flights@1", "--license", "mit")
    assert "flights@2" not in charkh("card", "show", "flights@1")
