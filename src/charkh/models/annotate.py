"""Describe and tag a model or a version of it."""

from collections.abc import Mapping

from charkh.core.ids import ID_PATTERN
from charkh.models.decisions import Describe, Tag
from charkh.models.declare import find_model
from charkh.models.find import find
from charkh.models.registered import name_subject
from charkh.models.texts import put_text, put_words
from charkh.ports.store import Store


def describe(store: Store, ref: str, text: str) -> None:
    """Describe a model (`delay`) or a version (`delay@3`, `model:ID`, an id) in other words; empty ones take all away.

    Raises:
        NotFound: there is none.
        Invalid: the text is too long.
    """
    about = subject_of(store, ref)
    store.commands.decide(Describe(about=about, text=put_text(store, text)))


def tag(store: Store, ref: str, tags: Mapping[str, str | None]) -> None:
    """Set tags of a model (`delay`) or a version (`delay@3`, `model:ID` or an id), None removing one.

    Raises:
        NotFound: there is none.
        Invalid: a name or value cannot be kept.
    """
    about = subject_of(store, ref)
    if tags:
        store.commands.decide(Tag(about=about, said=put_words(store, tags)))


def subject_of(store: Store, ref: str) -> str:
    """What is meant: a bare name is the model, everything else one of its versions."""
    if "@" in ref or ID_PATTERN.fullmatch(ref.removeprefix("model:")):
        return find(store, ref).subject
    return name_subject(find_model(store, ref).keys[0])
