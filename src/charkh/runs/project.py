"""The noun: a project, which runs belong to; what its events say.

A name with `/` in it lies in folders, as paths do: `flights/delay` is in `flights`. The id is made from the first name,
so that two stores which work apart make one project of one name.
"""

import unicodedata

import msgspec

from charkh.core.digests import digest_of
from charkh.core.errors import Invalid
from charkh.core.redact import redact

MADE_KIND = "project.made/1"
RENAMED_KIND = "project.renamed/1"
DELETED_KIND = "project.deleted/1"
RESTORED_KIND = "project.restored/1"
TAGGED_KIND = "project.tagged/1"

DEFAULT_PROJECT = "0"
DEFAULT_NAME = "Default"
MAX_PROJECT_NAME = 500
MAX_LOCATION = 500


class ProjectMade(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `project.made/1`; said twice of one id, the earliest stays.

    Attributes:
        project: id, decimal digits.
        name: `/` between the parts.
        location: where another tool was told that artifacts lie; only shown.
        created: seconds since the epoch where it was made elsewhere before; 0 for the moment of the event.
    """

    project: str
    name: str
    location: str = ""
    created: float = 0.0


class ProjectRenamed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `project.renamed/1`; the latest stays."""

    project: str
    name: str


class ProjectDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `project.deleted/1`: it and its runs are in the trash until it is restored."""

    project: str
    reason: str = ""


class ProjectRestored(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `project.restored/1`: it shows again, with the runs that were not deleted themselves."""

    project: str


class ProjectTagged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `project.tagged/1`: tags by name, None removes one; the latest value of a name stays."""

    project: str
    tags: dict[str, str | None]


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project as the catalog answers it.

    Attributes:
        id: decimal digits; `0` is the default project, which is always there.
        name: `/` between the parts.
        created: seconds since the epoch.
        updated: seconds since the epoch of the last change.
        tags: by name.
        location: where another tool was told that artifacts lie, or empty.
        deleted: seconds since the epoch when it was deleted, or None.
    """

    id: str
    name: str
    created: float
    updated: float
    tags: dict[str, str] = {}
    location: str = ""
    deleted: float | None = None

    @property
    def subject(self) -> str:
        """`project:id`, as it stands in edges."""
        return f"project:{self.id}"


def project_id(name: str, number: int = 0) -> str:
    """The id of a project that is first called `name`: 18 decimal digits of its BLAKE3.

    Args:
        name: as `project_name` gives it.
        number: counts up while the id is another project's, one that was renamed since.
    """
    if name == DEFAULT_NAME and not number:
        return DEFAULT_PROJECT
    digest = digest_of(f"{name}\0{number}".encode() if number else name.encode())
    return str(10**17 + int(digest[:16], 16) % (9 * 10**17))


def project_name(text: str) -> str:
    """A project's name as it is kept.

    Raises:
        Invalid: empty, too long, or with control characters.
    """
    name = redact(unicodedata.normalize("NFC", text).strip()).encode("utf-8", "replace").decode()
    if not 0 < len(name) <= MAX_PROJECT_NAME or any(ord(each) < 32 or ord(each) == 127 for each in name):
        raise Invalid(
            f"{text[:80]!r} cannot be the name of a project",
            code="project.bad_name",
            hint=f"Use 1 to {MAX_PROJECT_NAME} characters without control characters, '/' between folders.",
        )
    return name
