"""Tags as the command line takes them: `NAME=VALUE…`, where `NAME=` removes one."""

from collections.abc import Iterable
from typing import Annotated

import typer

from charkh.core.errors import Invalid

GivenTags = Annotated[list[str], typer.Argument(metavar="NAME=VALUE…", help="NAME= removes a tag.")]


def given_tags(tags: Iterable[str]) -> dict[str, str | None]:
    """The tags by name; None for one that is removed.

    Raises:
        Invalid: one has no `=`.
    """
    wanted: dict[str, str | None] = {}
    for each in tags:
        name, sign, value = each.partition("=")
        if not sign:
            raise Invalid(f"{each!r} sets no tag", code="run.bad_tag", hint="Write NAME=VALUE, or NAME= to remove it.")
        wanted[name] = value or None
    return wanted
