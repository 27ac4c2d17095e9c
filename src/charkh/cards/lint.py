"""What a card still lacks: required parts, placeholders, broken marks. Pure."""

import re

from charkh.cards.card import (
    MAX_CARD_BYTES,
    NO_EVALUATION,
    NO_LICENSE,
    PLACEHOLDER,
    SECTIONS,
    Finding,
    Section,
)
from charkh.cards.front_matter import keys_given_twice, top_keys
from charkh.cards.regions import parse_document
from charkh.core.errors import Invalid

_HEADING = re.compile(r"#{1,6}\s+(?P<title>.*?)\s*#*\s*")
_STRAY = re.compile(r"<!-- /?charkh:made [a-z-]+ -->")


def lint(markdown: str, noun: str) -> tuple[Finding, ...]:
    """What is missing or wrong; findings of severity `required` make the card incomplete.

    Args:
        markdown: the card.
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
    findings = _front_findings("".join(part.text for part in document.front) if document.front is not None else None)
    body = "".join(part.text for part in document.body)
    sections = sections_of(body)
    for section in SECTIONS[noun]:
        findings += _section_findings(section, sections.get(section.title.casefold()))
    if noun == "model":
        findings += _evaluation_findings(document.regions.get("evaluation"))
    if any(_STRAY.match(line) for part in document.body if not part.name for line in part.text.splitlines()):
        message = "a mark of a generated region has lost its partner; what follows it is kept as yours"
        findings.append(Finding(where="marks", message=message, severity="advice"))
    return tuple(findings)


def is_complete(findings: tuple[Finding, ...]) -> bool:
    """Whether nothing that is required is missing."""
    return not any(finding.severity == "required" for finding in findings)


def sections_of(body: str) -> dict[str, str]:
    """The text under each heading, by the heading in lower case; of one that stands twice both texts."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    fence = ""
    for line in body.splitlines():
        mark = line.lstrip()[:3]
        if mark in {"```", "~~~"} and fence in {"", mark}:
            fence = "" if fence else mark
        heading = None if fence else _HEADING.fullmatch(line)
        if heading is not None:
            current = found.setdefault(heading["title"].casefold(), [])
        else:
            current.append(line)
    return {title: "\n".join(lines).strip() for title, lines in found.items()}


def _front_findings(front: str | None) -> list[Finding]:
    if front is None:
        return [Finding(where="front matter", message="there is none, so that no tool can read the license")]
    findings: list[Finding] = []
    license_name = top_keys(front).get("license", "")
    if license_name in {"", NO_LICENSE}:
        findings.append(Finding(where="license", message="name the license, such as apache-2.0, or other"))
    for key in keys_given_twice(front):
        findings.append(Finding(where=key[:60], message="stands twice in the front matter", severity="advice"))
    return findings


def _section_findings(section: Section, text: str | None) -> list[Finding]:
    if text is None:
        message = f"there is no section '## {section.title}'"
    elif PLACEHOLDER in text:
        message = f"is to be written: {section.prompt}"
    elif not _without_comments(text):
        message = f"is empty: {section.prompt}"
    else:
        return []
    return [Finding(where=section.title, message=message, severity="required" if section.required else "advice")]


def _evaluation_findings(region: str | None) -> list[Finding]:
    if region is not None and NO_EVALUATION not in region and "|" in region:
        return []
    return [Finding(where="Evaluation", message="no evaluation stands in the card; evaluate, and make the card again")]


def _without_comments(text: str) -> str:
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip()
