"""The noun: what a card is, what its event says, and which parts people write. Pure data, no I/O."""

import msgspec

from charkh.core.files import FileRef

MADE_KIND = "card.made/1"

MAX_FINDINGS = 50
MAX_TITLE = 300
MAX_CARD_BYTES = 1_000_000

PLACEHOLDER = "**To be written:**"
"""What stands where a person should write; `lint` looks for it."""

OTHERS_PLACEHOLDERS = ("[More Information Needed]",)
"""What other tools' templates have in such a place."""

NO_CERTIFICATE = "No certificate of stability is recorded."
NO_EVALUATION = "No evaluation is recorded."
NO_DATASET = "No dataset is recorded."
NO_RUN = "No run is recorded."
NO_CHECK = "No check is recorded."
NO_LICENSE = "unknown"


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part that people write.

    Attributes:
        key: by which a text for it is handed in.
        title: its heading.
        prompt: what the placeholder asks for.
        required: without it the card is not complete.
        also: other headings under which the same may stand, in lower case, such as those of Hugging Face's template.
    """

    key: str
    title: str
    prompt: str
    required: bool = False
    also: tuple[str, ...] = ()

    @property
    def headings(self) -> tuple[str, ...]:
        """Its heading and the others for the same, in lower case."""
        return (self.title.casefold(), *self.also)


DESCRIPTION = Section(
    key="description",
    title="Model description",
    prompt="what it is, who developed and funded it, and where its paper and repository are.",
)
INTENDED_USE = Section(
    key="intended-use",
    title="Intended use",
    prompt="who should use it, for which decisions, and in which setting.",
    required=True,
    also=("direct use", "uses", "intended uses & limitations"),
)
LIMITS = Section(
    key="limits",
    title="Limits and risks",
    prompt="where it fails, whom that may harm, and what to do about it.",
    required=True,
    also=("bias, risks, and limitations", "limitations", "known limitations"),
)
RECOMMENDATIONS = Section(
    key="recommendations",
    title="Recommendations",
    prompt="what those who use it should know and do, given its limits.",
)
OUT_OF_SCOPE = Section(key="out-of-scope", title="Out-of-scope use", prompt="what it must not be used for.")
COLLECTION = Section(
    key="collection", title="Collection", prompt="who collected it, how, when and from whom.", required=True
)
CITATION = Section(key="citation", title="Citation", prompt="how it is to be cited, or that it need not be.")
CONTACT = Section(
    key="contact",
    title="Contact",
    prompt="who answers questions about it.",
    also=("model card contact", "dataset card contact"),
)

SECTIONS: dict[str, tuple[Section, ...]] = {
    "model": (DESCRIPTION, INTENDED_USE, OUT_OF_SCOPE, LIMITS, RECOMMENDATIONS, CITATION, CONTACT),
    "dataset": (INTENDED_USE, COLLECTION, LIMITS, CONTACT),
}
"""By noun, the parts that people write."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that `lint` found.

    Attributes:
        where: the section or key.
        message: what is wrong with it.
        severity: `required` makes the card incomplete; `advice` does not.
        code: of the rule, such as `card.no_license`; empty in cards that were recorded before rules had codes.
        fix: what to do about it.
    """

    where: str
    message: str
    severity: str = "required"
    code: str = ""
    fix: str = ""


class CardMade(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `card.made/1`.

    Attributes:
        card: id of the card, which is the subject's id.
        about: the model or dataset version, `noun:id`.
        title: what it is called, such as `delay@3`.
        complete: nothing that is required is missing.
        findings: what `lint` found, without the card's own text.
        markdown: the text.
    """

    card: str
    about: str
    title: str
    complete: bool
    findings: tuple[Finding, ...]
    markdown: FileRef


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A card as the catalog answers it.

    Attributes:
        made: what its event says.
        actor: who made it, `user@host`.
        at: seconds since the epoch.
        stamp: the total order of concurrent cards.
    """

    made: CardMade
    actor: str
    at: float
    stamp: str

    @property
    def id(self) -> str:
        return self.made.card

    @property
    def subject(self) -> str:
        """`card:id`, as it stands in edges."""
        return f"card:{self.made.card}"


def name_of(title: str) -> str:
    """The name in a title such as `delay@3`."""
    return title.partition("@")[0]
