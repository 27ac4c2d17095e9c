"""Patterns of a search: globs and SQL's `like`, matched in bounded time, never as regular expressions.

Letters are told apart as SQLite does: without regard to case only A to Z are one with a to z.
"""

from collections.abc import Sequence
from enum import Enum


class Wild(Enum):
    """What stands for any one character, or for any number of them."""

    ONE = "?"
    MANY = "*"


Pattern = Sequence[str | Wild]
_GLOB = {"*": Wild.MANY, "?": Wild.ONE}
_LIKE = {"%": Wild.MANY, "_": Wild.ONE}


def pattern_of(operator: str, text: str) -> Pattern:
    """The pattern that `~`, `like` or `ilike` means by `text`; `~` without `*` and `?` looks anywhere in a text."""
    if operator == "~":
        found = [_GLOB.get(each, each) for each in text]
        return found if any(isinstance(each, Wild) for each in found) else [Wild.MANY, *found, Wild.MANY]
    return [_LIKE.get(each, each) for each in text]


def fits(operator: str, wanted: str, text: str) -> bool:
    """Whether `text` meets what `~`, `like` or `ilike` asks; at most as many steps as the two lengths multiplied."""
    if operator != "like":
        wanted, text = folded(wanted), folded(text)
    pattern = pattern_of(operator, wanted)
    at = place = 0
    star, mark = -1, 0
    while place < len(text):
        each = pattern[at] if at < len(pattern) else None
        if each is Wild.MANY:
            star, mark = at, place
            at += 1
        elif each is Wild.ONE or each == text[place]:
            at += 1
            place += 1
        elif star >= 0:
            mark += 1
            at, place = star + 1, mark
        else:
            return False
    return all(each is Wild.MANY for each in pattern[at:])


def folded(text: str) -> str:
    """`text` with a to z for A to Z."""
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def as_like(pattern: Pattern) -> str:
    """The pattern for SQL's LIKE with the escape character backslash."""
    told = {Wild.MANY: "%", Wild.ONE: "_", "%": r"\%", "_": r"\_", "\\": r"\\"}
    return "".join(told[each] if each in told else str(each) for each in pattern)


def as_glob(pattern: Pattern) -> str:
    """The pattern for SQLite's GLOB, which tells upper and lower case apart."""
    told = {Wild.MANY: "*", Wild.ONE: "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(told[each] if each in told else str(each) for each in pattern)
