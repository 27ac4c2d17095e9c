"""What a forgetting found, erased and could not reach; nothing in it says who is meant."""

import msgspec

SHOWN_USES = 100


class ErasedContent(msgspec.Struct, frozen=True, kw_only=True):
    """A content that was replaced, or with a dry run would be.

    Attributes:
        digest: of the content as it was.
        instead: of what is shown now; empty in a dry run.
        kind: `csv`, `parquet`, `jsonl`, or `text` for a document in which values were blanked.
        rows: rows that are gone; places where a value stood, for a document.
        path: where it stands first, or empty; not said where the name itself has a value.
        subjects: who holds it, at most `SHOWN_USES`.
    """

    digest: str
    instead: str = ""
    kind: str
    rows: int
    path: str = ""
    subjects: tuple[str, ...] = ()


class VersionLoss(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version, and the rows that it lacks from now on, in how many of its files."""

    version: str
    subject: str
    rows: int
    files: int
    deleted: bool = False


class Saw(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was made from a version with the rows: it has seen them, and erasing them does not unlearn it."""

    subject: str
    title: str


class Unreached(msgspec.Struct, frozen=True, kw_only=True):
    """Where the person may still stand, why, and what to do; `outside` of the store, or in it."""

    what: str
    why: str
    outside: bool = False


class ForgetReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a forgetting did, or with `dry_run` would do.

    Attributes:
        dry_run: nothing was changed.
        forgetting: id of the event; empty where nothing was erased.
        selector: hash of the selection under the store's own key.
        looked_at: contents that were read.
        rows: rows erased, each file counted once.
        contents: what was replaced.
        strays: records that nobody held and that had one of the values.
        versions: the dataset versions that lost rows.
        saw: runs, models and whatever else was made from them.
        unreached: what could not be looked into or erased.
        purged: packs that were written anew without what was erased, now or by an earlier forgetting.
    """

    dry_run: bool
    forgetting: str = ""
    selector: str = ""
    looked_at: int = 0
    rows: int = 0
    contents: tuple[ErasedContent, ...] = ()
    strays: int = 0
    versions: tuple[VersionLoss, ...] = ()
    saw: tuple[Saw, ...] = ()
    unreached: tuple[Unreached, ...] = ()
    purged: int = 0
