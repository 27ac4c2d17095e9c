"""The line of a suite that remembers which rules inference has proposed, so that one that was taken out stays out."""

import re
from collections.abc import Iterable

import msgspec

from charkh.core.errors import Invalid

_PROPOSED = re.compile(r"^# proposed: (\[.*\])[ \t]*\n?", re.MULTILINE)


def proposed_line(names: Iterable[str]) -> str:
    """The comment that says which rules inference has proposed."""
    return f"# proposed: {msgspec.json.encode(sorted(set(names))).decode()}\n"


def proposed(text: str, source: str) -> frozenset[str]:
    """The ids of the rules that a suite's document says were proposed.

    Args:
        text: the document.
        source: what to call it in errors.

    Raises:
        Invalid: the line cannot be read.
    """
    names: set[str] = set()
    for match in _PROPOSED.finditer(text):
        try:
            names |= set(msgspec.json.decode(match[1], type=list[str]))
        except msgspec.MsgspecError as error:
            raise Invalid(
                f"{source}: the line `# proposed:` is no list of texts",
                code="check.not_toml",
                hint="Mend or delete that line.",
            ) from error
    return frozenset(names)


def without_proposed(text: str) -> str:
    """The document without that line."""
    return _PROPOSED.sub("", text)
