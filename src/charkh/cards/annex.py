"""The points of Annex IV of the EU's AI Act, and which of them a document covers so far. Pure.

Regulation (EU) 2024/1689 of 13 June 2024, Annex IV, "Technical documentation referred to in Article 11(1)"
(https://eur-lex.europa.eu/eli/reg/2024/1689/oj). The points are named here in our own words; the Regulation's own text
is what counts. Whether a system falls under it, and whether it meets it, is not for a program to say.
"""

from collections.abc import Mapping

import msgspec

from charkh.cards.card import PLACEHOLDER
from charkh.cards.lint import is_placeholder
from charkh.cards.regions import body_region, parse_document

REGION = "annex-"
OVERVIEW = "annex-overview"
NOTHING = "Nothing is recorded about this."
SOURCE = "https://eur-lex.europa.eu/eli/reg/2024/1689/oj"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the annex.

    Attributes:
        number: as the annex counts, such as `2(g)`.
        title: what it asks for, in a few words.
        asks: what only a person can write; empty where the record can say all of it.
        beside: articles that the point leans on.
    """

    number: str
    title: str
    asks: str
    beside: str = ""

    @property
    def key(self) -> str:
        """Such as `2g`."""
        return self.number.replace("(", "").replace(")", "")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A numbered part of the annex and its points."""

    title: str
    points: tuple[Point, ...]


PARTS: tuple[Part, ...] = (
    Part(
        title="1. General description",
        points=(
            Point(
                number="1(a)",
                title="Purpose, provider, version and earlier versions",
                asks="the intended purpose, and the name of the provider.",
                beside="Article 3(3), (12)",
            ),
            Point(
                number="1(b)",
                title="What it interacts with",
                asks="the hardware, software and AI systems outside of it that it works with, where there are any.",
            ),
            Point(
                number="1(c)",
                title="Versions of software and firmware",
                asks="what is required when one of them is updated.",
            ),
            Point(
                number="1(d)",
                title="Forms in which it is placed on the market or put into service",
                asks="the forms in which others get it: a package, a download, an API, a part of a device.",
            ),
            Point(number="1(e)", title="Hardware that it is meant to run on", asks="that hardware."),
            Point(
                number="1(f)",
                title="Where it is a component of products: their outside, marking and inner layout",
                asks="photographs or drawings of the product, or that it is a component of none.",
            ),
            Point(
                number="1(g)",
                title="The deployer's user interface",
                asks="what the deployer sees and can do, in short.",
                beside="Article 3(4)",
            ),
            Point(
                number="1(h)",
                title="Instructions for use",
                asks="the instructions for the deployer, or where they stand.",
                beside="Article 13",
            ),
        ),
    ),
    Part(
        title="2. Elements and development",
        points=(
            Point(
                number="2(a)",
                title="Methods and steps of development; pre-trained systems and tools of others",
                asks="how systems or tools of others were used, integrated or changed.",
            ),
            Point(
                number="2(b)",
                title="Design: logic, choices, assumptions, and what it is optimised for",
                asks="why it was designed so: rationale, assumptions about the persons concerned, trade-offs.",
            ),
            Point(
                number="2(c)",
                title="Architecture and computational resources",
                asks="how the components build on one another in the whole system.",
            ),
            Point(
                number="2(d)",
                title="Data: datasheets, provenance, selection, labelling, cleaning",
                asks="how the data was obtained, selected and labelled, as far as no datasheet says it.",
                beside="Article 10",
            ),
            Point(
                number="2(e)",
                title="Human oversight that is needed",
                asks="the assessment of it, and the technical means that help deployers to read the outputs.",
                beside="Articles 14 and 13(3)(d)",
            ),
            Point(
                number="2(f)",
                title="Changes determined beforehand",
                asks="which changes of the system and its performance were determined beforehand, or that none were.",
            ),
            Point(
                number="2(g)",
                title="Validation and testing: procedures, data, metrics, dated reports",
                asks="who answers for the tests and signed the reports, and which discriminatory impacts were sought.",
                beside="Chapter III, Section 2",
            ),
            Point(number="2(h)", title="Cybersecurity", asks="the measures that were taken.", beside="Article 15(5)"),
        ),
    ),
    Part(
        title="3. Monitoring, functioning and control",
        points=(
            Point(
                number="3",
                title="Capabilities, limits, accuracy for groups of persons, foreseeable harm, oversight, input data",
                asks="unintended outcomes that can be foreseen, and risks to health, safety and fundamental rights.",
                beside="Article 14",
            ),
        ),
    ),
    Part(
        title="4. Performance metrics",
        points=(Point(number="4", title="Why the metrics are appropriate", asks="why these metrics fit this system."),),
    ),
    Part(
        title="5. Risk management",
        points=(
            Point(number="5", title="The risk management system", asks="that system, in detail.", beside="Article 9"),
        ),
    ),
    Part(
        title="6. Changes through the lifecycle",
        points=(Point(number="6", title="Relevant changes made by the provider", asks=""),),
    ),
    Part(
        title="7. Standards",
        points=(
            Point(
                number="7",
                title="Harmonised standards and other specifications applied",
                asks="the list, with references in the Official Journal; or the solutions taken instead.",
                beside="Article 40",
            ),
        ),
    ),
    Part(
        title="8. Declaration of conformity",
        points=(
            Point(
                number="8",
                title="Copy of the EU declaration of conformity",
                asks="the copy, or where it is kept. This tool declares nothing.",
                beside="Article 47",
            ),
        ),
    ),
    Part(
        title="9. After it is on the market",
        points=(
            Point(
                number="9",
                title="Evaluation of performance in use, and the monitoring plan",
                asks="the post-market monitoring plan.",
                beside="Article 72, and 72(3) for the plan",
            ),
        ),
    ),
)
POINTS = tuple(point for part in PARTS for point in part.points)


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says to one point.

    Attributes:
        number: of the point.
        title: of the point.
        recorded: something is told from the record.
        written: a person wrote the rest; True where nothing is left to a person.
    """

    number: str
    title: str
    recorded: bool
    written: bool

    @property
    def state(self) -> str:
        """What is left to a person, in words."""
        if not _asks(self.number):
            return "nothing to write" if self.recorded else "nothing recorded yet"
        return "written" if self.written else "to be written"

    @property
    def open(self) -> bool:
        """Something is still to be written, or nothing at all stands there."""
        return not self.written or not (self.recorded or _asks(self.number))


def _asks(number: str) -> str:
    return next(point.asks for point in POINTS if point.number == number)


def outline(told: Mapping[str, str]) -> str:
    """A fresh document: every point with what is told of it by `Point.key`, and a placeholder for what a person writes.

    Args:
        told: Markdown by key of the point.
    """
    lines = [body_region(OVERVIEW, "")]
    for part in PARTS:
        lines.append(f"## {part.title}\n")
        for point in part.points:
            lines.append(f"### {point.number} {point.title}\n")
            beside = f"; {point.beside}" if point.beside else ""
            cited = f"*Annex IV, point {point.number}{beside}*"
            lines.append(body_region(REGION + point.key, f"{cited}\n\n{told.get(point.key) or NOTHING}"))
            if point.asks:
                lines.append(f"{PLACEHOLDER} {point.asks}\n")
    return "\n".join(lines)


def covered(markdown: str) -> tuple[Cover, ...]:
    """What a document says to each point, in the order of the annex."""
    recorded: dict[str, bool] = {}
    written: dict[str, str] = {}
    current = ""
    for part in parse_document(markdown).body:
        if part.name.startswith(REGION):
            current = part.name
            recorded[current] = NOTHING not in part.text
        elif part.name:
            current = ""
        elif current:
            written[current] = _until_heading(part.text)
            current = ""
    return tuple(
        Cover(
            number=point.number,
            title=point.title,
            recorded=recorded.get(REGION + point.key, False),
            written=not point.asks or _says(written.get(REGION + point.key, "")),
        )
        for point in POINTS
    )


def overview(title: str, subject: str, covers: tuple[Cover, ...]) -> str:
    """The region at the top: what this is, what it is not, and what is still open."""
    done = sum(not cover.open for cover in covers)
    recorded = sum(cover.recorded for cover in covers)
    rows = [
        f"| {cover.number} | {cover.title} | {'yes' if cover.recorded else 'no'} | {cover.state} |" for cover in covers
    ]
    counted = f"{done} of {len(covers)} points have nothing left to write; {recorded} tell something from the record."
    lines = [
        f"# Technical documentation of {title}",
        "",
        f"Of {subject}, in the order of Annex IV of [Regulation (EU) 2024/1689]({SOURCE}), which says what",
        "the technical documentation of Article 11(1) contains. This document says neither that the Regulation applies",
        "to the system nor that it is met: that is for the persons who answer for it.",
        "",
        f"**{counted}**",
        "",
        "| point | what it asks for | from the record | by a person |",
        "|---|---|---|---|",
        *rows,
    ]
    return body_region(OVERVIEW, "\n".join(lines))


def _says(text: str) -> bool:
    return bool(text.strip()) and not is_placeholder(text)


def _until_heading(text: str) -> str:
    kept: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            break
        kept.append(line)
    return "\n".join(kept)
