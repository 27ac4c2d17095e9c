"""The text of a card from what is known: front matter, generated regions, and placeholders for people. Pure."""

from collections.abc import Callable, Mapping, Sequence

from charkh.cards.card import NO_LICENSE, PLACEHOLDER, SECTIONS, Section
from charkh.cards.front_matter import blocks, scalar, top_keys
from charkh.cards.known import Known
from charkh.cards.metadata import front_matter
from charkh.cards.parts import (
    checks,
    compute,
    evaluation,
    monitoring,
    provenance,
    registry,
    stability,
    stops,
    training,
    training_data,
)
from charkh.cards.regions import body_region, parse_document
from charkh.cards.tables import cell, listed, pairs_table
from charkh.cards.wording import Wording
from charkh.core.errors import Invalid


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
    return f"---\n{front_matter(known, wording, noun)}---\n\n{write(known, wording)}"


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
    return _with_keys(markdown, wording.front)


def _with_keys(markdown: str, front: str) -> str:
    """The card with those keys at the end of its front matter that it lacks; a generated one of that name gives way."""
    opening, fence, rest = markdown.partition("\n---")
    if not fence or not opening.startswith("---"):
        return markdown
    own = top_keys("".join(part.text for part in parse_document(markdown).front or () if not part.name))
    missing = [block for key, block in blocks(front).items() if key not in own]
    return "\n".join([opening, *missing]) + fence + rest


def _placeholder(section: Section) -> str:
    return f"{PLACEHOLDER} {section.prompt}"


def _model_body(known: Known, wording: Wording) -> str:
    description, intended, outside, limits, recommended, citation, contact = (
        _written(section, wording) for section in SECTIONS["model"]
    )
    return "\n".join(
        [
            body_region("summary", _summary(known)),
            description,
            intended,
            outside,
            body_region("use", _use(known)),
            body_region("signature", _signature(wording)),
            body_region("training-data", training_data(known)),
            body_region("recipe", stops(known, "Preparation", ("recipe",), "No recipe is recorded.")),
            body_region("training", training(known)),
            body_region("compute", compute(known)),
            body_region("checks", checks(known)),
            body_region("evaluation", evaluation(known)),
            limits,
            recommended,
            body_region("stability", stability(known)),
            body_region("registry", registry(known, wording)),
            body_region("monitoring", monitoring(known)),
            body_region("provenance", provenance(known)),
            citation,
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
            body_region("checks", checks(known)),
            limits,
            body_region("provenance", provenance(known)),
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
    return f"## Signature\n\n{listed(('direction', 'name', 'type'), wording.signature)}"
