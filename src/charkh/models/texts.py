"""Long texts about models into the vault and out of it: descriptions, and tags that no event should hold."""

from collections.abc import Mapping

from charkh.core.errors import Invalid
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.models.decisions import Said
from charkh.models.registered import MAX_DESCRIPTION, MAX_TAG, checked_tag
from charkh.ports.store import Store


def put_words(store: Store, tags: Mapping[str, str | None], description: str = "") -> Said:
    """Tags and a description, made ready to be said; what is long is durable in the vault.

    Raises:
        Invalid: a name or value cannot be kept.
    """
    short: dict[str, str | None] = {}
    long: dict[str, FileRef] = {}
    for name, value in tags.items():
        clean = checked_tag(name, value)
        if clean is None or len(clean) <= MAX_TAG:
            short[name] = clean
        else:
            long[name] = store.vault.put_bytes(clean.encode(), "text.txt")
    text = put_text(store, description)
    if long:
        store.vault.flush()
    return Said(tags=short, long=long, description=text)


def put_text(store: Store, text: str) -> FileRef | None:
    """A description in the vault, durable and without credentials; None where it is empty.

    Raises:
        Invalid: it is longer than `MAX_DESCRIPTION`.
    """
    clean = redact(text.strip())
    if not clean:
        return None
    if len(clean) > MAX_DESCRIPTION:
        raise Invalid(
            f"the description has {len(clean)} characters, more than {MAX_DESCRIPTION}",
            code="model.description_too_long",
            hint="Write a model card: `charkh card`.",
        )
    file = store.vault.put_bytes(clean.encode("utf-8", "replace"), "description.md")
    store.vault.flush()
    return file


def read_text(store: Store, file: FileRef | None) -> str:
    """What `put_text` kept; empty for None, and what was erased reads as it was replaced.

    Raises:
        NotFound: the bytes are not here.
    """
    return "" if file is None else b"".join(store.vault.read(file)).decode("utf-8", "replace")


def all_tags(store: Store, tags: Mapping[str, str], long: Mapping[str, FileRef]) -> dict[str, str]:
    """Short and long tags alike, by name."""
    return dict(sorted({**tags, **{name: read_text(store, file) for name, file in long.items()}}.items()))
