"""What a grant reaches: the whole workspace, a project with all below it, or names of one noun. Pure.

    *                the whole workspace
    flights          the project `flights` and every project whose name begins with `flights/`
    model:delay*     models whose name begins so; likewise dataset: and endpoint:, exact without the star

A project is written `flights` or `flights/`, which say the same; `project:` stands before a name that would be read
as another noun.
"""

import re
from typing import Literal

from charkh.core.errors import Invalid

Noun = Literal["project", "model", "dataset", "endpoint"]
NOUNS: tuple[Noun, ...] = ("project", "model", "dataset", "endpoint")
EVERYTHING = "*"
MAX_SCOPE = 300

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse_scope(text: str) -> str:
    """The scope in its one written form.

    Raises:
        Invalid: it is empty, too long, or has characters that no name has.
    """
    scope = text.strip()
    if scope == EVERYTHING:
        return EVERYTHING
    noun, name = _parts(scope)
    name = name.rstrip("/") if noun == "project" else name
    if not name or len(scope) > MAX_SCOPE or _CONTROL.search(scope):
        raise Invalid(
            f"{text[:80]!r} is no scope",
            code="user.bad_scope",
            hint="Write * for everything, a project such as flights/, or names such as model:delay*.",
        )
    return f"{noun}:{name}"


def reaches(scope: str, noun: Noun, name: str) -> bool:
    """Whether a scope, as `parse_scope` writes it, reaches the thing of this noun and name."""
    if scope == EVERYTHING:
        return True
    over, _, pattern = scope.partition(":")
    if over != noun:
        return False
    if noun == "project":
        return name == pattern or name.startswith(f"{pattern}/")
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _parts(scope: str) -> tuple[str, str]:
    head, colon, rest = scope.partition(":")
    return (head, rest) if colon and head in NOUNS else ("project", scope)
