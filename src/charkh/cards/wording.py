"""What a caller says about a card besides what is known: license, signature, and texts that people wrote. Pure."""

import msgspec

from charkh.cards.card import NO_LICENSE, PLACEHOLDER, SECTIONS
from charkh.cards.front_matter import top_keys
from charkh.cards.lint import sections_of
from charkh.cards.regions import parse_document
from charkh.ports.runtimes import Signature


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says about a card besides what is known.

    Attributes:
        license: SPDX id, or `other`; `unknown` leaves the card incomplete.
        tags: beside `charkh`.
        library: what loads the model, for the front matter.
        signature: lines (input or output, name, type) of the model's signature.
        written: texts for the parts that people write, by `Section.key`; they stand where nobody has written any.
    """

    license: str = NO_LICENSE
    tags: tuple[str, ...] = ()
    library: str = ""
    signature: tuple[tuple[str, str, str], ...] = ()
    written: dict[str, str] = {}


def wording_from(markdown: str, noun: str) -> Wording:
    """What people wrote in a Markdown text: the license of its front matter, and each part by its heading.

    Args:
        markdown: such as the file `cards/delay.md` of a project, or a whole card.
        noun: `model` or `dataset`.
    """
    document = parse_document(markdown)
    keys = top_keys("".join(part.text for part in document.front)) if document.front is not None else {}
    sections = sections_of("".join(part.text for part in document.body if not part.name))
    texts = {section.key: sections.get(section.title.casefold(), "") for section in SECTIONS.get(noun, ())}
    return Wording(
        license=keys.get("license") or NO_LICENSE,
        written={key: text for key, text in texts.items() if text and PLACEHOLDER not in text},
    )


def signature_lines(signature: Signature) -> tuple[tuple[str, str, str], ...]:
    """The lines of a model's signature, as `Wording.signature` takes them."""
    return tuple(
        (way, spec.name, f"{spec.datatype}{list(spec.shape)}{', may be missing' if spec.optional else ''}")
        for way, specs in (("input", signature.inputs), ("output", signature.outputs))
        for spec in specs
    )
