"""What a caller says about a card besides what is known: license, signature, and texts that people wrote. Pure."""

import msgspec

from charkh.cards.card import NO_LICENSE, SECTIONS
from charkh.cards.front_matter import blocks, items_of, top_keys
from charkh.cards.lint import is_placeholder, sections_of, text_of
from charkh.cards.regions import parse_document
from charkh.ports.runtimes import Signature


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says about a card besides what is known.

    Attributes:
        license: SPDX id, or `other`; `unknown` leaves the card incomplete.
        tags: beside `charkh`.
        library: what loads the model, for the front matter.
        signature: lines (input or output, name, type) of the model's signature.
        front: other keys of the front matter that people write, such as `language`, as their lines stand.
        history: lines (when, what, by, why) of what the registry decided about the version.
        guards: lines (when, what, by, why) of who signed its files, trusted them, or approved it.
        written: texts for the parts that people write, by `Section.key`; they stand where nobody has written any.
    """

    license: str = NO_LICENSE
    tags: tuple[str, ...] = ()
    library: str = ""
    signature: tuple[tuple[str, str, str], ...] = ()
    front: str = ""
    history: tuple[tuple[str, str, str, str], ...] = ()
    guards: tuple[tuple[str, str, str, str], ...] = ()
    written: dict[str, str] = {}


def wording_from(markdown: str, noun: str) -> Wording:
    """What people wrote in a Markdown text: the keys of its front matter, and each part by its heading.

    Args:
        markdown: such as the file `cards/delay.md` of a project, or a whole card.
        noun: `model` or `dataset`.
    """
    document = parse_document(markdown)
    front = "".join(part.text for part in document.front or () if not part.name)
    keys = top_keys(front)
    others = {key: block for key, block in blocks(front).items() if key not in {"license", "tags"}}
    tags = items_of(blocks(front).get("tags", ""))
    sections = sections_of("".join(part.text for part in document.body if not part.name))
    texts = {section.key: text_of(sections, section) or "" for section in SECTIONS.get(noun, ())}
    return Wording(
        license=keys.get("license") or NO_LICENSE,
        tags=tuple(tag for tag in tags if tag != "charkh"),
        front="\n".join(others.values()),
        written={key: text for key, text in texts.items() if text and not is_placeholder(text)},
    )


def with_keys_of(markdown: str, wording: Wording) -> Wording:
    """The wording with the keys that people wrote into a card's front matter: none of them is generated."""
    front = "".join(part.text for part in parse_document(markdown).front or () if not part.name)
    others = {key: block for key, block in blocks(front).items() if key not in {"license", "tags"}}
    return msgspec.structs.replace(wording, front="\n".join((blocks(wording.front) | others).values()))


def signature_lines(signature: Signature) -> tuple[tuple[str, str, str], ...]:
    """The lines of a model's signature, as `Wording.signature` takes them."""
    return tuple(
        (way, spec.name, f"{spec.datatype}{list(spec.shape)}{', may be missing' if spec.optional else ''}")
        for way, specs in (("input", signature.inputs), ("output", signature.outputs))
        for spec in specs
    )
