"""The text of a card from what is known: front matter, generated regions, and placeholders for people. Pure."""

from collections.abc import Callable, Mapping, Sequence

from charkh.cards.card import NO_EVALUATION, NO_LICENSE, PLACEHOLDER, SECTIONS, Section, name_of
from charkh.cards.front_matter import Yaml, scalar, yaml_lines
from charkh.cards.known import Known, Scores
from charkh.cards.regions import body_region, front_region
from charkh.cards.tables import cell, listed, pairs_table, score_table, slice_table
from charkh.cards.wording import Wording
from charkh.core.errors import Invalid
from charkh.lineage.render import render_trace, shown_fact

HUGGING_FACE_METRICS = {"auc": "roc_auc", "brier": "brier_score"}
"""Names of metrics in a model index, where they differ from ours."""


def generate_card(known: Known, wording: Wording) -> str:
    """A whole card; what people wrote before is put back by `merge`.

    Raises:
        Invalid: no cards are made of that noun, or a text is for a part that there is none of.
    """
    noun = known.subject.partition(":")[0]
    if noun not in SECTIONS:
        raise Invalid(
            f"there are no cards for {noun!r}",
            code="card.no_such_noun",
            hint=f"Cards are made of: {', '.join(SECTIONS)}.",
        )
    keys = [section.key for section in SECTIONS[noun]]
    unknown = sorted(set(wording.written) - set(keys))
    if unknown:
        raise Invalid(
            f"a {noun}'s card has no part {unknown[0]!r}", code="card.no_section", hint=f"Parts are: {', '.join(keys)}."
        )
    write = _model_body if noun == "model" else _dataset_body
    return f"---\n{_front(known, wording, noun)}---\n\n{write(known, wording)}"


def fill(markdown: str, wording: Wording, noun: str) -> str:
    """The card with texts and license put where placeholders still stand; what people wrote is left alone."""
    for section in SECTIONS.get(noun, ()):
        text = wording.written.get(section.key, "").strip()
        if text:
            markdown = markdown.replace(_placeholder(section), text, 1)
    if wording.license != NO_LICENSE:
        key = f"license: {scalar(NO_LICENSE)}\n"
        front = markdown.partition("\n---")[0]
        if key in front + "\n":
            markdown = markdown.replace(key, f"license: {scalar(wording.license)}\n", 1)
    return markdown


def _placeholder(section: Section) -> str:
    return f"{PLACEHOLDER} {section.prompt}"


def _front(known: Known, wording: Wording, noun: str) -> str:
    own: dict[str, Yaml] = {"license": wording.license, "tags": ["charkh", *wording.tags]}
    made: dict[str, Yaml]
    if noun == "dataset":
        size = known.content.size if known.content else ""
        made = {"pretty_name": known.title, **({"size_categories": [size]} if size else {})}
    else:
        made = {"model_name": known.title, **({"library_name": wording.library} if wording.library else {})}
        results = [result for scores in known.scores if (result := _result(scores))]
        if results:
            made["model-index"] = [{"name": name_of(known.title), "results": results}]
    return "\n".join(yaml_lines(own)) + "\n" + front_region("metadata", "\n".join(yaml_lines(made)))


def _result(scores: Scores) -> dict[str, Yaml]:
    """One result of a Hugging Face model index; empty where nothing was scored."""
    metrics: list[Yaml] = []
    for name, value in scores.facts.items():
        low, high = scores.facts.get(f"{name}.low"), scores.facts.get(f"{name}.high")
        if isinstance(value, float) and isinstance(low, float) and isinstance(high, float):
            args: dict[str, Yaml] = {"low": low, "high": high}
            kind = HUGGING_FACE_METRICS.get(name, name)
            metrics.append({"type": kind, "name": name, "value": value, "args": args})
    if not metrics:
        return {}
    kind = "tabular-classification" if "precision" in scores.facts or "auc" in scores.facts else "tabular-regression"
    title = scores.on.title if scores.on is not None else "unknown"
    revision = scores.on.subject if scores.on is not None else ""
    return {
        "task": {"type": kind},
        "dataset": {"type": "charkh", "name": title, **({"revision": revision} if revision else {})},
        "metrics": metrics,
    }


def _model_body(known: Known, wording: Wording) -> str:
    intended, outside, limits, contact = (_written(section, wording) for section in SECTIONS["model"])
    return "\n".join(
        [
            body_region("summary", _summary(known)),
            intended,
            outside,
            body_region("use", _use(known)),
            body_region("signature", _signature(wording)),
            body_region("training-data", _stops(known, "Training data", ("dataset",), "No dataset is recorded.")),
            body_region("recipe", _stops(known, "Preparation", ("recipe",), "No recipe is recorded.")),
            body_region("training", _stops(known, "Training", ("run", "study"), "No run is recorded.")),
            body_region("checks", _checks(known)),
            body_region("evaluation", _evaluation(known)),
            limits,
            body_region("provenance", _provenance(known)),
            contact,
        ]
    )


def _dataset_body(known: Known, wording: Wording) -> str:
    intended, collection, limits, contact = (_written(section, wording) for section in SECTIONS["dataset"])
    return "\n".join(
        [
            body_region("summary", _summary(known)),
            intended,
            collection,
            body_region("columns", _columns(known)),
            body_region("growth", _growth(known)),
            body_region("use", _use(known)),
            body_region("checks", _checks(known)),
            limits,
            body_region("provenance", _provenance(known)),
            contact,
        ]
    )


def _columns(known: Known) -> str:
    columns = known.content.columns if known.content else ()
    if not columns:
        return "## Columns\n\nIt is no table."
    rows = [(each.name, each.dtype, each.missing, each.distinct, each.span) for each in columns]
    return f"## Columns\n\n{listed(('column', 'type', 'missing', 'different values', 'span'), rows)}"


def _growth(known: Known) -> str:
    versions = known.content.versions if known.content else ()
    rows = [(each.ref, each.made, each.rows, each.what) for each in versions]
    return f"## Versions\n\n{listed(('version', 'made', 'rows', 'what it brought'), rows)}"


def _written(section: Section, wording: Wording) -> str:
    text = wording.written.get(section.key, "").strip()
    return f"## {section.title}\n\n{text or _placeholder(section)}\n"


def _summary(known: Known) -> str:
    scored = {name for scores in known.scores for name in scores.facts}
    lines = [(label, value) for label, value in known.lines if label not in scored]
    return f"# {cell(known.title)}\n\n{pairs_table([('id', known.subject), *lines])}"


_USES: Mapping[str, Callable[[str], Sequence[str]]] = {
    "model": lambda title: [
        f'model = charkh.load("{title}")',
        "answers = model.predict(rows)        # a Polars frame with the columns of the signature",
    ],
    "dataset": lambda title: [
        f'table = charkh.dataset("{title}")',
        "table.frame                          # a Polars frame",
    ],
}


def _use(known: Known) -> str:
    lines = _USES[known.subject.partition(":")[0]](known.title)
    code = "\n".join(["import charkh", "", *lines])
    return f"## How to use it\n\n```python\n{code}\n```"


def _signature(wording: Wording) -> str:
    if not wording.signature:
        return "## Signature\n\nNo signature was given."
    return f"## Signature\n\n{listed(('', 'name', 'type'), wording.signature)}"


def _stops(known: Known, title: str, nouns: Sequence[str], nothing: str) -> str:
    nodes = [node for noun in nouns for node in known.trace.of(noun)]
    parts = [
        f"### {cell(node.title)}\n\n{pairs_table([('id', node.subject), ('relation', node.relation), *node.lines])}"
        for node in nodes
    ]
    return "\n\n".join([f"## {title}", *(parts or [nothing])])


def _checks(known: Known) -> str:
    if not known.checks:
        return "## Checks\n\nNo check is recorded."
    rows = [(title, fact.name, shown_fact(fact.value)) for title, fact in known.checks]
    return f"## Checks\n\n{listed(('about', 'fact', 'value'), rows)}"


def _evaluation(known: Known) -> str:
    parts = ["## Evaluation"]
    for scores in known.scores:
        on = scores.on.title if scores.on is not None else "an unnamed dataset"
        said = [(label, value) for label, value in scores.stated_by.lines if label not in scores.facts]
        parts.append(f"### On {cell(on)}")
        parts.append(score_table(scores.facts))
        if said:
            parts.append("\n".join(f"- {cell(label)}: {cell(value)}" for label, value in said))
        if scores.slices:
            parts.append(slice_table(scores.slices))
    return "\n\n".join(parts if known.scores else [*parts, NO_EVALUATION])


def _provenance(known: Known) -> str:
    tree = "\n".join(line.replace("```", "'''") for line in render_trace(known.trace))
    return f"## Provenance\n\n```text\n{tree}\n```"
