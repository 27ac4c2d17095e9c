"""Cards made from facts, completed by people, linted, rendered and kept."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import MetaData

import charkh
from charkh.cards.card import PLACEHOLDER, Card
from charkh.cards.find import find
from charkh.cards.front_matter import keys_given_twice, top_keys, yaml_lines
from charkh.cards.index import PROJECTION, CardById, CardNamed, CardOf, Cards, CardsOf
from charkh.cards.lint import lint, sections_of
from charkh.cards.make import make_card
from charkh.cards.record import read_markdown, record_card
from charkh.cards.regions import parse_document
from charkh.cards.render import render_fragment, render_html
from charkh.cards.tables import cell
from charkh.cards.wording import Wording, signature_lines, wording_from
from charkh.core.errors import Invalid, NotFound
from charkh.core.events import Draft, Edge
from charkh.datasets.index import DatasetById
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, FactsAbout, HeldDigests
from charkh.ports.projections import Describe, Description, Projection
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.ports.store import Store
from charkh.runs.index import RunsByIds
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

WRITTEN = {
    "description": "Trees, by the crew of gate 9.",
    "recommendations": "Look at the window.",
    "citation": "Need not be cited.",
    "intended-use": "Plan gates at the airport.",
    "out-of-scope": "Refunds.",
    "limits": "Snow: it has never seen any.",
    "contact": "Ann",
}
WHOLE = Wording(
    license="apache-2.0", library="sklearn", signature=(("input", "hour", "INT64"),), written=WRITTEN, tags=("flights",)
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    text: str = ""


def _portrait(noun: str) -> Any:
    def portray(_connection: object, identifier: str) -> Description | None:
        if identifier == "unknown":
            return None
        title = {"model": f"delay@{identifier}", "dataset": f"flights@{identifier}"}.get(noun, f"{noun} {identifier}")
        return Description(title=title, lines=(("made by", "ann | <b>laptop</b>"), ("auc", "0.7")))

    return portray


NOUNS = Projection(
    name="thing",
    version=1,
    tables=MetaData(),
    kinds=frozenset({"thing.said/1"}),
    fold=lambda _connection, _events: None,
    portraits={noun: _portrait(noun) for noun in ("model", "dataset", "run", "recipe", "evaluation")},
    answers={DatasetById: lambda _connection, _query: None, RunsByIds: lambda _connection, _query: ()},
)


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE, NOUNS)


def say(
    store: Store, subject: str, edges: dict[str, str], about: str = "", facts: dict[str, Any] | None = None
) -> None:
    drawn = tuple(Edge(subject, relation, target) for relation, target in edges.items())
    store.record(Draft(kind="thing.said/1", subject=subject, body=Said(), edges=drawn, facts=facts or {}, about=about))


SCORES = {
    "auc": 0.712345, "auc.low": 0.69, "auc.high": 0.73, "auc.win_probability": 0.97, "precision": 0.5, "rows": 900,
    "slice(origin=JFK).auc": 0.7, "slice(origin=JFK).auc.low": 0.6, "slice(origin=JFK).rows": 400,
    "slice(origin=E|R).auc": 0.65, "slice(origin=E|R).rows": 500,
}  # fmt: skip


def house(store: Store, model: str = "model:3", evaluated: bool = True) -> None:
    say(store, "dataset:2", {"derived_from": "dataset:1", "prepared_by": "recipe:1"})
    say(store, "check:1", {}, about="dataset:2", facts={"checks.ok": True, "checks.failed_rows": 7})
    say(store, model, {"produced_by": "run:1", "trained_on": "dataset:2"})
    if evaluated:
        say(store, f"evaluation:{model[-1]}", {"scores": model, "on": "dataset:9"}, about=model, facts=SCORES)


def test_a_card_is_generated_from_what_is_known(store: Store) -> None:
    house(store)
    card = make_card(store, "model:3", wording=WHOLE)
    text = read_markdown(store, card)
    sections = sections_of("".join(part.text for part in parse_document(text).body))
    assert "| auc | 0.712345 | 0.69 to 0.73 | 0.97 |" in sections["on flights@9"]
    assert "| origin | JFK | 400 | 0.7 (0.6) |" in sections["on flights@9"]
    assert "| origin | E\\|R | 500 | 0.65 |" in sections["on flights@9"]
    assert "ann \\| &lt;b>laptop&lt;/b>" in sections["delay@3"]
    assert "| input | hour | INT64 |" in sections["signature"]
    assert {"flights@2", "flights@1", "recipe 1", "run 1"} <= sections.keys()
    assert "| flights@2 | checks.ok | yes |" in sections["checks"]
    assert "├─ produced_by run 1 (run:1)" in sections["provenance"]
    assert 'charkh.load("delay@3")' in sections["how to use it"]
    assert sections["limits and risks"].startswith("Snow")
    assert card.made.complete
    assert card.made.findings == ()


def test_the_front_matter_is_yaml_in_the_hugging_face_form(store: Store) -> None:
    house(store)
    document = parse_document(read_markdown(store, make_card(store, "model:3", wording=WHOLE)))
    assert document.front is not None
    front = yaml.safe_load("".join(part.text for part in document.front))
    assert front["license"] == "apache-2.0"
    assert front["tags"] == ["charkh", "flights"]
    assert front["library_name"] == "sklearn"
    (entry,) = front["model-index"]
    assert entry["name"] == "delay"
    result, *slices = entry["results"]
    assert [part["dataset"]["args"] for part in slices] == [{"origin": "E|R"}, {"origin": "JFK"}]
    assert front["pipeline_tag"] == "tabular-classification"
    assert front["datasets"] == ["flights"]
    assert front["metrics"] == ["roc_auc", "precision"]
    assert result["task"] == {"type": "tabular-classification", "name": "Tabular Classification"}
    assert result["dataset"] == {"type": "charkh", "name": "flights@9", "revision": "dataset:9"}
    assert result["metrics"] == [
        {"type": "roc_auc", "name": "auc", "value": 0.712345,
         "args": {"low": 0.69, "high": 0.73, "evaluation": "evaluation:3"}},
        {"type": "precision", "name": "precision", "value": 0.5, "args": {"evaluation": "evaluation:3"}},
    ]  # fmt: skip


def test_a_card_is_an_event_with_its_verdict_as_a_fact(store: Store) -> None:
    house(store)
    card = make_card(store, "model:3")
    assert not card.made.complete
    assert store.queries.ask(EdgesFrom(subject=card.subject)) == (Edge(card.subject, "documents", "model:3"),)
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject="model:3"))}
    assert facts["card.complete"] is False
    assert card.made.markdown.held in store.queries.ask(HeldDigests())
    make_card(store, "model:3", wording=WHOLE)
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject="model:3"))}
    assert facts["card.complete"] is True


def test_making_it_again_without_news_records_nothing(store: Store) -> None:
    house(store)
    first = make_card(store, "model:3", wording=WHOLE)
    assert make_card(store, "model:3", wording=WHOLE) == first
    assert record_card(store, "model:3", read_markdown(store, first)) == first
    assert store.queries.ask(CardsOf(about="model:3")) == (first,)


def test_what_people_wrote_is_kept_when_the_facts_change(store: Store) -> None:
    house(store)
    text = read_markdown(store, make_card(store, "model:3"))
    edited = text.replace(f"{PLACEHOLDER} where it fails", "It fails in snow, and not only where it fails")
    edited = edited.replace('license: "unknown"', 'license: "mit"') + "\n## Thanks\n\nTo Bob.\n"
    record_card(store, "model:3", edited)
    say(store, "evaluation:4", {"scores": "model:3", "on": "dataset:10"}, about="model:3", facts={**SCORES, "auc": 0.9})
    again = read_markdown(store, make_card(store, "model:3", wording=WHOLE))
    assert "It fails in snow" in again
    assert "To Bob." in again
    assert 'license: "mit"' in again
    assert "### On flights@10" in again
    assert "| auc | 0.9 |" in again
    assert "| auc | 0.712345 |" not in again


def test_texts_fill_placeholders_and_nothing_else(store: Store) -> None:
    house(store)
    text = read_markdown(store, make_card(store, "model:3"))
    record_card(store, "model:3", text.replace(f"{PLACEHOLDER} where it fails", "Mine: where it fails"))
    again = read_markdown(store, make_card(store, "model:3", wording=WHOLE))
    assert "Mine: where it fails" in again
    assert "Plan gates" in again
    assert 'license: "apache-2.0"' in again
    assert PLACEHOLDER not in again


def test_a_new_version_starts_from_what_people_wrote_in_the_last_card_of_that_name(store: Store) -> None:
    house(store)
    make_card(store, "model:3", wording=WHOLE)
    house(store, "model:4")
    card = make_card(store, "model:4")
    text = read_markdown(store, card)
    assert card.made.complete
    assert "Plan gates" in text
    assert "# delay@4" in text
    assert "delay@3" not in text
    fresh = make_card(store, "model:4", previous="")
    assert PLACEHOLDER in read_markdown(store, fresh)


def test_without_an_evaluation_a_model_card_is_not_complete(store: Store) -> None:
    house(store, evaluated=False)
    card = make_card(store, "model:3", wording=WHOLE)
    assert [(finding.where, finding.severity) for finding in card.made.findings] == [("Evaluation", "required")]
    assert not card.made.complete


def test_lint_names_what_is_missing(store: Store) -> None:
    house(store)
    text = read_markdown(store, make_card(store, "model:3"))
    findings = {finding.where: finding.severity for finding in lint(text, "model")}
    assert findings == {
        "license": "required",
        "Model description": "advice",
        "Intended use": "required",
        "Out-of-scope use": "advice",
        "Limits and risks": "required",
        "Recommendations": "advice",
        "Citation": "advice",
        "Contact": "advice",
    }
    assert {finding.where for finding in lint("", "model")} >= {"front matter", "Evaluation", "Intended use"}
    empty = "---\nlicense: mit\nlicense: mit\n---\n## Intended use\n<!-- nothing -->\n<!-- charkh:made evaluation -->\n"
    messages = {finding.where: finding.message for finding in lint(empty, "model")}
    assert "is empty" in messages["Intended use"]
    assert "twice" in messages["license"]
    assert "partner" in messages["marks"]
    with pytest.raises(Invalid, match="no cards"):
        lint(text, "run")
    with pytest.raises(Invalid, match="megabyte"):
        lint("x" * 1_000_001, "model")


def test_every_finding_has_a_code_and_says_what_to_do(store: Store) -> None:
    house(store, evaluated=False)
    findings = lint(read_markdown(store, make_card(store, "model:3")), "model")
    assert {"card.no_license", "card.placeholder", "card.no_evaluation"} <= {finding.code for finding in findings}
    assert all(finding.code and finding.fix for finding in findings)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("---\nlicense: other\n---\n", "card.license_other"),
        ("---\nlicense: our-own\n---\n", "card.license_unknown"),
        ("---\nlicense: mit\nlanguage: [en, Persian]\n---\n", "card.language"),
        ("---\nlicense: mit\nlanguage:\n- English\n---\n", "card.language"),
        ("# x\n\n### y\n", "card.heading_skips"),
        ("![](curve.png)\n", "card.image_without_words"),
        ("## Checks\n\nNo check is recorded.\n", "card.no_check"),
        ("## Training\n\nNo run is recorded.\n", "card.no_run"),
        ("## Contact\n\n[More Information Needed]\n", "card.placeholder"),
    ],
)
def test_a_rule_finds_what_it_is_for(text: str, code: str) -> None:
    assert code in {finding.code for finding in lint(text, "model")}


def test_the_headings_of_hugging_face_s_template_count(store: Store) -> None:
    text = (
        "---\nlicense: mit\n---\n# x\n## Uses\n<!-- how -->\n### Direct Use\nGates.\n"
        "## Bias, Risks, and Limitations\nSnow.\n## Model Card Contact\nAnn\n"
    )
    missing = {finding.where for finding in lint(text, "model") if finding.severity == "required"}
    assert missing == {"Evaluation"}
    assert "Contact" not in {finding.where for finding in lint(text, "model")}
    assert wording_from(text, "model").written == {"intended-use": "Gates.", "limits": "Snow.", "contact": "Ann"}


def test_people_s_keys_take_the_place_of_generated_ones(store: Store) -> None:
    house(store)
    said = wording_from("---\nlicense: mit\nlanguage:\n- en\n- fa\ndatasets: [ours]\n---\n", "model")
    text = read_markdown(store, make_card(store, "model:3", wording=said))
    front = yaml.safe_load("".join(part.text for part in parse_document(text).front or ()))
    assert (front["language"], front["datasets"]) == (["en", "fa"], ["ours"])
    record_card(store, "model:3", text.replace("datasets: [ours]", "metrics: [mine]"))
    again = read_markdown(store, make_card(store, "model:3"))
    front = yaml.safe_load("".join(part.text for part in parse_document(again).front or ()))
    assert (front["datasets"], front["metrics"]) == (["flights"], ["mine"])
    later = read_markdown(store, make_card(store, "model:3", wording=said))
    assert keys_given_twice("".join(part.text for part in parse_document(later).front or ())) == []


def test_what_judged_serves_and_watches_it_stands_in_the_card(store: Store) -> None:
    house(store)
    say(store, "loop:1", {"judged": "model:3"}, about="model:3", facts={"promoted": True})
    say(store, "deployment:1", {"serves": "model:3"})
    say(store, "collection:1", {"looked_at": "model:3"})
    say(store, "alert:1", {"raised_by": "collection:1"})
    text = read_markdown(store, make_card(store, "model:3", wording=DECIDED))
    sections = sections_of("".join(part.text for part in parse_document(text).body))
    assert "| promoted | yes | loop:1 |" in sections["registry"]
    assert "| 2026-11-25 | alias champion: delay@3 | ann | better |" in sections["registry"]
    assert "| 2026-11-26 | signed with the key ab12 | bob |  |" in sections["registry"]
    assert "| id | deployment:1 |" in sections["deployment:1"]
    assert "collection:1" in sections["monitoring"]
    assert "alert:1" in sections["monitoring"]


DECIDED = msgspec.structs.replace(
    WHOLE,
    history=(("2026-11-25", "alias champion: delay@3", "ann", "better"),),
    guards=(("2026-11-26", "signed with the key ab12", "bob", ""),),
)


def test_the_license_of_the_data_comes_from_its_own_card(store: Store) -> None:
    house(store)
    make_card(store, "dataset:2", wording=Wording(license="cc0-1.0"))
    sections = sections_of(read_markdown(store, make_card(store, "model:3")))
    assert "| license | cc0-1.0 |" in sections["flights@2"]
    assert "| license | cc0-1.0 |" in sections["flights@1"]


def test_text_of_a_right_to_left_script_is_set_that_way() -> None:
    persian = "\u0627\u06cc\u0646 \u0645\u062f\u0644"
    arabic_alone = "\u0633\u062a\u0648\u0646"
    page = render_fragment(f"{persian} (auc)\n\n- {persian}\n\n| {arabic_alone} | b |\n|---|---|\n| c | d |\n\nPlain\n")
    assert f'<p dir="rtl" lang="fa">{persian} (auc)</p>' in page
    assert '<ul dir="rtl" lang="fa">' in page
    assert '<table dir="rtl" lang="fa">' in page
    assert "<p>Plain</p>" in page
    assert '<th scope="row">c</th>' in page
    assert f'<th dir="rtl" lang="fa" scope="col">{arabic_alone}</th>' in page
    assert '<p dir="rtl" lang="he">\u05e9</p>' in render_fragment("\u05e9\n")


def test_a_heading_in_code_is_no_section() -> None:
    assert (
        sections_of("```\n## Limits\n```\n## Use ##\ntext\n~~~\n```\n# x\n~~~\n")["use"] == "text\n~~~\n```\n# x\n~~~"
    )


def test_texts_are_read_from_a_file_of_the_project(store: Store) -> None:
    house(store)
    text = (
        "---\nlicense: mit\n---\n\n## Limits and risks\n\nSnow.\n\n## Contact\n\n**To be written:** who.\n## Jokes\nx\n"
    )
    assert wording_from(text, "model") == Wording(license="mit", written={"limits": "Snow."})
    assert wording_from("", "model") == Wording()
    card = read_markdown(store, make_card(store, "model:3", wording=WHOLE))
    assert wording_from(card, "model") == Wording(license="apache-2.0", tags=("flights",), written=WRITTEN)


def test_the_lines_of_a_signature() -> None:
    signature = Signature(
        inputs=(TensorSpec(name="hour", datatype="INT64", optional=True),),
        outputs=(TensorSpec(name="predict_proba", datatype="FP64", shape=(-1, 2)),),
    )
    assert signature_lines(signature) == (
        ("input", "hour", "INT64[-1], may be missing"),
        ("output", "predict_proba", "FP64[-1, 2]"),
    )


def test_a_dataset_has_a_card_of_its_own(store: Store) -> None:
    house(store)
    written = {"intended-use": "Study delays.", "collection": "By the airports.", "limits": "2013 only."}
    card = make_card(store, "dataset:2", wording=Wording(license="cc0-1.0", written=written))
    text = read_markdown(store, card)
    assert card.made.complete
    assert card.made.title == "flights@2"
    assert 'pretty_name: "flights@2"' in text
    assert "checks.failed_rows | 7" in text
    assert "derived_from flights@1" in text


def test_what_has_no_card_is_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="no cards"):
        make_card(store, "run:1")
    with pytest.raises(Invalid):
        make_card(store, "delay@3")
    with pytest.raises(NotFound, match="nothing is known"):
        make_card(store, "model:unknown")
    with pytest.raises(Invalid, match="no part"):
        make_card(store, "model:3", wording=Wording(written={"jokes": "x"}))


def test_credentials_do_not_enter(store: Store) -> None:
    secret = "sk-abcdefghijklmnopqrstuvwxyz0123456789"
    card = record_card(store, "model:3", f"# delay\n\napi_key = {secret}\n")
    assert secret not in read_markdown(store, card)


def test_an_erased_card_is_said_to_be_so_and_made_anew(store: Store) -> None:
    house(store)
    card = make_card(store, "model:3", wording=WHOLE)
    chunks: dict[str, bytes] = store.vault._chunks  # type: ignore[attr-defined]
    chunks[card.made.markdown.digest] = b"# delay@3\n\n## Contact\n\n[erased]\n"
    assert "[erased]" in read_markdown(store, card)
    chunks[card.made.markdown.digest] = b""
    with pytest.raises(NotFound, match="erased"):
        read_markdown(store, card)
    again = make_card(store, "model:3")
    assert PLACEHOLDER in read_markdown(store, again)
    del chunks[again.made.markdown.digest]
    with pytest.raises(NotFound, match="not here"):
        make_card(store, "model:3")


def test_only_rendering_needs_the_markdown_parser() -> None:
    package = Path(charkh.__file__).parent
    users = [path.name for path in package.rglob("*.py") if "markdown_it" in path.read_text(encoding="utf-8")]
    assert users == ["render.py"]


def test_cards_are_found(store: Store) -> None:
    house(store)
    first = make_card(store, "model:3")
    second = make_card(store, "model:3", wording=WHOLE)
    other = make_card(store, "dataset:2")
    ask = store.queries.ask
    assert ask(CardOf(about="model:3")) == second
    assert ask(CardsOf(about="model:3")) == (second, first)
    assert ask(Cards()) == (other, second)
    assert ask(CardById(card=first.id)) == first
    assert ask(CardNamed(noun="model", name="delay")) == second
    assert ask(CardNamed(noun="dataset", name="delay")) is None
    assert find(store, "model:3") == second
    assert find(store, first.subject) == first
    with pytest.raises(NotFound, match="card make"):
        find(store, "model:9")


def test_a_card_is_portrayed(store: Store) -> None:
    house(store)
    card = make_card(store, "model:3")
    description = store.queries.ask(Describe(subject=card.subject))
    assert description is not None
    assert description.title == "card of delay@3"
    assert ("complete", "no") in description.lines
    assert "license" in dict(description.lines)
    assert "Contact" not in dict(description.lines)
    assert store.queries.ask(Describe(subject="card:" + "0" * 32)) is None


def test_the_catalog_is_a_function_of_the_set_of_events(store: Store) -> None:
    house(store)
    cards = [make_card(store, "model:3"), make_card(store, "dataset:2"), make_card(store, "model:3", wording=WHOLE)]
    queries = [
        CardOf(about="model:3"),
        CardsOf(about="model:3"),
        Cards(),
        CardNamed(noun="model", name="delay"),
        *(CardById(card=card.id) for card in cards),
    ]
    assert_order_free([PROJECTION], payloads_of(store), queries)


def test_answers_survive_json(store: Store) -> None:
    house(store)
    card = make_card(store, "model:3")
    assert msgspec.json.decode(msgspec.json.encode(card), type=Card) == card


def test_a_page_is_self_contained_and_nothing_in_it_runs(store: Store) -> None:
    house(store)
    text = read_markdown(store, make_card(store, "model:3", wording=WHOLE))
    page = render_html(
        f"{text}\n<script>alert(1)</script>\n\n[x](javascript:alert(2)) ![y](http://example.org/z.png)\n"
    )
    assert "<title>delay@3</title>" in page
    assert "<td>0.712345</td>" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert 'href="javascript' not in page
    assert "default-src 'none'" in page.replace("&#x27;", "'")
    assert "charkh:made" not in page
    assert "license: &quot;apache-2.0&quot;" in page
    assert "<h2>Metadata</h2>" not in render_html("# only text")


VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.text(max_size=20),
        st.integers(-(10**9), 10**9).map(lambda n: n / 1000),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.from_regex(r"k[a-z_]{1,8}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.dictionaries(st.from_regex(r"key_[a-z_]{1,8}", fullmatch=True), VALUES, min_size=1, max_size=4))
def test_front_matter_is_read_by_a_yaml_library_as_the_value_it_was(value: dict[str, Any]) -> None:
    text = "\n".join(yaml_lines(value))
    assert _rounded(yaml.safe_load(text)) == _rounded(value)
    assert list(top_keys(text)) == list(value)
    assert keys_given_twice(text) == []


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) + 0.0
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


@given(st.text(max_size=400))
def test_a_cell_stays_a_cell(text: str) -> None:
    shown = cell(text)
    assert len(shown.splitlines()) <= 1
    assert "<" not in shown
    assert "|" not in shown.replace("\\\\", "").replace("\\|", "")
