"""What is said of a model and its versions after they were made: name, description, tags, stage, removal.

Each says what it is about as a subject: `model:ID` for a version, `model_name:KEY` for a model. The key never
changes: it is the name that the model was made with, or an id where that name had been used before.
"""

import unicodedata

import msgspec

from charkh.core.errors import Invalid
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.core.refs import MAX_NAME, VersionRef, parse_version_ref

REGISTERED_KIND = "model.registered/1"
DESCRIBED_KIND = "model.described/1"
TAGGED_KIND = "model.tagged/1"
STAGED_KIND = "model.staged/1"
RENAMED_KIND = "model.renamed/1"
REMOVED_KIND = "model.removed/1"

STAGES = ("None", "Staging", "Production", "Archived")
"""MLflow's, deprecated there; kept so that its clients go on."""

NAME_NOUN = "model_name"
MAX_TAG = 500
MAX_LONG_TAG = 100_000
MAX_DESCRIPTION = 1_000_000
_NOT_IN_NAMES = frozenset(":@\\#?%")


class ModelRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.registered/1`: a model is there, with or without versions.

    Attributes:
        name: that it was made with.
        model: its key; empty where the name is the key.
    """

    name: str
    model: str = ""

    @property
    def key(self) -> str:
        """Of the model."""
        return self.model or self.name


class ModelDescribed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.described/1`.

    Attributes:
        about: subject.
        text: the description in the vault; None takes it away.
        replaces: ids of the events that this one saw and supersedes.
    """

    about: str
    text: FileRef | None
    replaces: tuple[str, ...] = ()


class ModelTagged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.tagged/1`.

    Attributes:
        about: subject.
        tags: by name; None removes the tag.
        long: by name, values too long for an event.
        replaces: by name, ids of the events that this one saw and supersedes.
    """

    about: str
    tags: dict[str, str | None]
    long: dict[str, FileRef] = {}
    replaces: dict[str, tuple[str, ...]] = {}


class ModelStaged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.staged/1`.

    Attributes:
        about: subject of a version.
        stage: one of `STAGES`.
        replaces: ids of the events that this one saw and supersedes.
        reason: why, in a sentence, without credentials.
    """

    about: str
    stage: str
    replaces: tuple[str, ...] = ()
    reason: str = ""


class ModelRenamed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.renamed/1`.

    Attributes:
        model: key of the model.
        old: the name that it had.
        name: the name that it has now.
        replaces: ids of the events that this one saw and supersedes.
        reason: why, in a sentence, without credentials.
    """

    model: str
    old: str
    name: str
    replaces: tuple[str, ...] = ()
    reason: str = ""


class ModelRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.removed/1`: the model and its versions are gone; their numbers are never given again.

    Attributes:
        name: that it had.
        models: its keys.
        versions: ids of the versions that it had; one that was made apart meanwhile brings the model back.
        reason: why, in a sentence, without credentials.
    """

    name: str
    models: tuple[str, ...]
    versions: tuple[str, ...] = ()
    reason: str = ""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was decided about a model.

    Attributes:
        at: seconds since the epoch.
        actor: who decided, `user@host`.
        what: `registered`, `version`, `alias`, `override`, `rollback`, `stage`, `renamed`, `described`, `tag`,
            `deleted` or `removed`.
        field: the alias or tag, or empty.
        value: what it is now: a reference, a stage, a name; empty where something was taken away.
        version: number of the version that it is about; 0 for the model itself.
        reason: why, in a sentence.
        decided_by: id of the loop decision or digest of the gate's evidence; empty for a person.
        stamp: the total order of concurrent decisions.
    """

    at: float
    actor: str
    what: str
    field: str = ""
    value: str = ""
    version: int = 0
    reason: str = ""
    decided_by: str = ""
    stamp: str = ""


def name_subject(key: str) -> str:
    """`model_name:KEY`, the subject of a model itself."""
    return f"{NAME_NOUN}:{key}"


def parse_model_name(text: str) -> str:
    """A model's name in its canonical form (NFC); a key, never a path.

    Raises:
        Invalid: empty, too long, or with characters that a reference or an address would read otherwise.
    """
    name = unicodedata.normalize("NFC", text)
    bad = any(each in _NOT_IN_NAMES or unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for each in name)
    parts = name.split("/")
    if bad or not 0 < len(name) <= MAX_NAME or any(part.strip() in {"", ".", ".."} for part in parts):
        raise _bad_name(text)
    if name != name.strip():
        raise _bad_name(text)
    return name


def parse_model_ref(text: str) -> VersionRef:
    """`name`, `name@3`, `name@3~ann`, `name@latest` or `name@alias`, where the name is any that a model may have."""
    name, at, selector = text.partition("@")
    ref = parse_version_ref(f"n@{selector}" if at else "n")
    return VersionRef(parse_model_name(name), ref.selector, ref.author)


def checked_tag(name: str, value: str | None) -> str | None:
    """A tag's value that may be kept, without credentials.

    Raises:
        Invalid: the name or the value is too long, or the name has control characters.
    """
    if not 0 < len(name) <= MAX_NAME or any(ord(each) < 32 or each == "\x7f" for each in name):
        raise Invalid(
            f"{redact(name)[:80]!r} cannot be the name of a tag",
            code="model.bad_tag",
            hint=f"Use 1 to {MAX_NAME} characters without control characters.",
        )
    if value is not None and len(value) > MAX_LONG_TAG:
        raise Invalid(
            f"the tag {name!r} has {len(value)} characters, more than {MAX_LONG_TAG}",
            code="model.bad_tag",
            hint="Keep long texts as an artifact of the run.",
        )
    return None if value is None else redact(value).encode("utf-8", "replace").decode()


def canonical_stage(text: str) -> str:
    """One of `STAGES`, whatever its case.

    Raises:
        Invalid: it is none of them.
    """
    for stage in STAGES:
        if stage.lower() == text.lower():
            return stage
    raise Invalid(
        f"{text[:80]!r} is no stage",
        code="model.bad_stage",
        hint=f"Use one of {', '.join(STAGES)}; an alias such as production says it better.",
    )


def _bad_name(text: str) -> Invalid:
    return Invalid(
        f"{text[:80]!r} is not a model name",
        code="name.invalid",
        hint="Use at most 250 characters; none of ':', '@', '\\', '#', '?', '%', no empty part between '/'.",
    )
