"""What a card still lacks or says badly: each rule with a code, a severity and what to do. Pure."""

import re
from collections.abc import Iterator, Mapping

from charkh.cards.card import (
    MAX_CARD_BYTES,
    NO_CHECK,
    NO_DATASET,
    NO_EVALUATION,
    NO_LICENSE,
    NO_RUN,
    OTHERS_PLACEHOLDERS,
    PLACEHOLDER,
    SECTIONS,
    Finding,
    Section,
)
from charkh.cards.front_matter import blocks, items_of, keys_given_twice, top_keys
from charkh.cards.licenses import LICENSES
from charkh.cards.regions import Document, parse_document
from charkh.core.errors import Invalid

REQUIRED, ADVICE = "required", "advice"
_HEADING = re.compile(r"(?P<level>#{1,6})\s+(?P<title>.*?)\s*#*\s*")
_STRAY = re.compile(r"<!-- /?charkh:made [a-z0-9-]+ -->")
_IMAGE = re.compile(r"!\[\s*\]\([^)]*\)")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|code|multilingual")


def lint(markdown: str, noun: str) -> tuple[Finding, ...]:
    """What is missing or wrong; findings of severity `required` make the card incomplete.

    Args:
        markdown: the card, whoever wrote it: the headings of Hugging Face's template count as ours.
        noun: `model` or `dataset`.

    Raises:
        Invalid: no cards are made of that noun, or the text is far too long for a card.
    """
    if noun not in SECTIONS:
        raise Invalid(
            f"there are no cards for {noun!r}",
            code="card.no_such_noun",
            hint=f"Cards are made of: {', '.join(SECTIONS)}.",
        )
    if len(markdown.encode("utf-8", "surrogatepass")) > MAX_CARD_BYTES:
        raise Invalid("the card has more than a megabyte", code="card.too_long", hint="Link to longer material.")
    document = parse_document(markdown)
    body = "".join(part.text for part in document.body)
    sections = sections_of(body)
    return (
        *_front_findings("".join(part.text for part in document.front) if document.front is not None else None),
        *(found for section in SECTIONS[noun] for found in _section_findings(section, text_of(sections, section))),
        *(_evidence_findings(document, sections) if noun == "model" else ()),
        *_form_findings(document, body),
    )


def is_complete(findings: tuple[Finding, ...]) -> bool:
    """Whether nothing that is required is missing."""
    return not any(finding.severity == REQUIRED for finding in findings)


def is_placeholder(text: str) -> bool:
    """Whether a text still asks to be written, in our words or those of another tool's template."""
    return PLACEHOLDER in text or any(each in text for each in OTHERS_PLACEHOLDERS)


def text_of(sections: Mapping[str, str], section: Section) -> str | None:
    """The text under one of the section's headings; None where none stands. One that says something comes first."""
    there = [sections[heading] for heading in section.headings if heading in sections]
    return next((text for text in there if _without_comments(text)), there[0] if there else None)


def sections_of(body: str) -> dict[str, str]:
    """The text under each heading, by the heading in lower case; of one that stands twice both texts."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line, heading in _lines_of(body):
        if heading is not None:
            current = found.setdefault(heading["title"].casefold(), [])
        else:
            current.append(line)
    return {title: "\n".join(lines).strip() for title, lines in found.items()}


def _lines_of(body: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """Each line, and the heading that it is; what stands in a block of code is none."""
    fence = ""
    for line in body.splitlines():
        mark = line.lstrip()[:3]
        if mark in {"```", "~~~"} and fence in {"", mark}:
            fence = "" if fence else mark
        yield line, None if fence else _HEADING.fullmatch(line)


def _front_findings(front: str | None) -> Iterator[Finding]:
    if front is None:
        yield Finding(
            where="front matter",
            message="there is none, so that no tool can read the license",
            code="card.no_front_matter",
            fix="Begin the file with ---, license: apache-2.0, ---.",
        )
        return
    keys = top_keys(front)
    yield from _license_findings(keys)
    for key in keys_given_twice(front):
        yield Finding(
            where=key[:60],
            message="stands twice in the front matter",
            severity=ADVICE,
            code="card.key_twice",
            fix="Keep one of the two; YAML forbids both.",
        )
    for language in items_of(blocks(front).get("language", "")):
        if not _LANGUAGE.fullmatch(language):
            yield Finding(
                where="language",
                message=f"{language[:40]!r} is no language code",
                severity=ADVICE,
                code="card.language",
                fix="Write ISO 639 codes, such as en or fa.",
            )


def _license_findings(keys: Mapping[str, str]) -> Iterator[Finding]:
    name = keys.get("license", "")
    if name in {"", NO_LICENSE}:
        yield Finding(
            where="license",
            message="name the license, such as apache-2.0, or other",
            code="card.no_license",
            fix="charkh card make NAME --license apache-2.0",
        )
    elif name == "other":
        if not {"license_name", "license_link"} <= keys.keys():
            yield Finding(
                where="license",
                message="it is `other`, and nobody can tell which",
                severity=ADVICE,
                code="card.license_other",
                fix="Add license_name: and license_link: to the front matter.",
            )
    elif name.casefold() not in LICENSES:
        yield Finding(
            where="license",
            message=f"{name[:60]!r} is no identifier that Hugging Face knows",
            severity=ADVICE,
            code="card.license_unknown",
            fix="Write a known identifier in lower case, or `other` with license_name: and license_link:.",
        )


def _section_findings(section: Section, text: str | None) -> Iterator[Finding]:
    if text is None:
        code, message = "card.no_section", f"there is no section '## {section.title}'"
        fix = f"Add '## {section.title}': {section.prompt}"
    elif is_placeholder(text):
        code, message = "card.placeholder", f"is to be written: {section.prompt}"
        fix = "Write over the placeholder."
    elif not _without_comments(text):
        code, message = "card.empty_section", f"is empty: {section.prompt}"
        fix = "Write it."
    else:
        return
    severity = REQUIRED if section.required else ADVICE
    yield Finding(where=section.title, message=message, severity=severity, code=code, fix=fix)


def _evidence_findings(document: Document, sections: Mapping[str, str]) -> Iterator[Finding]:
    """What a score needs beside it: an evaluation, and the params, data and checks behind it."""
    region = document.regions.get("evaluation")
    if region is None or NO_EVALUATION in region or "|" not in region:
        yield Finding(
            where="Evaluation",
            message="no evaluation stands in the card; evaluate, and make the card again",
            code="card.no_evaluation",
            fix="Score it with charkh.evaluate(…), and then: charkh card make.",
        )
    else:
        if " to " not in region:
            yield Finding(
                where="Evaluation",
                message="no metric has an interval, so that a difference cannot be told from noise",
                severity=ADVICE,
                code="card.no_interval",
                fix="Evaluate with rounds > 0.",
            )
        if "| column | value | rows |" not in region:
            yield Finding(
                where="Evaluation",
                message="no slice is scored: whom the model serves worse does not show",
                severity=ADVICE,
                code="card.no_slices",
                fix="Evaluate with slices=[…].",
            )
    for heading, nothing, code, fix in (
        (
            "Training data",
            NO_DATASET,
            "card.no_dataset",
            "Register the model with the dataset version it learned from.",
        ),
        ("Training", NO_RUN, "card.no_run", "Register the model from within charkh.run(), or name the run."),
        ("Checks", NO_CHECK, "card.no_check", "charkh check run on the data that it learned from."),
    ):
        if nothing in sections.get(heading.casefold(), ""):
            yield Finding(where=heading, message=nothing, severity=ADVICE, code=code, fix=fix)


def _form_findings(document: Document, body: str) -> Iterator[Finding]:
    """What readers and their screen readers stumble over."""
    if any(_STRAY.match(line) for part in document.body if not part.name for line in part.text.splitlines()):
        yield Finding(
            where="marks",
            message="a mark of a generated region has lost its partner; what follows it is kept as yours",
            severity=ADVICE,
            code="card.lost_mark",
            fix="Take the lone mark out, with what it began.",
        )
    level = 0
    for line, heading in _lines_of(body):
        if heading is not None:
            now = len(heading["level"])
            if level and now > level + 1:
                yield Finding(
                    where=heading["title"][:60],
                    message=f"a heading of level {now} follows one of level {level}",
                    severity=ADVICE,
                    code="card.heading_skips",
                    fix=f"Write it with {'#' * (level + 1)}.",
                )
            level = now
        elif _IMAGE.search(line):
            yield Finding(
                where="image",
                message="an image has no words for those who do not see it",
                severity=ADVICE,
                code="card.image_without_words",
                fix="Write what it shows between the brackets: ![…](…).",
            )


def _without_comments(text: str) -> str:
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip()
