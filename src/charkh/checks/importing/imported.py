"""What came of carrying a foreign suite over: a suite of ours, what it was made of, and what was left. No I/O."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from charkh.checks.document import format_suite
from charkh.checks.suite import CheckSuite, Rule, rule_ids
from charkh.checks.validate import validate_patterns, validate_rule
from charkh.core.errors import Invalid
from charkh.core.expressions import parse_expression

_NAME = re.compile(r"[^\W\d]\w*")
_WORDS = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})


class NotCarried(Exception):
    """A foreign rule that has no equal here; the text says why."""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """One foreign rule that became rules of ours.

    Attributes:
        source: as the foreign suite calls it.
        rules: ids of ours.
        note: what is not quite the same; empty when nothing is known.
    """

    source: str
    rules: tuple[str, ...]
    note: str = ""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """One foreign rule that was not carried over, and why."""

    source: str
    why: str


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A suite that was carried over.

    Attributes:
        suite: ours.
        carried: what it was made of, in its order.
        left: what is not in it.
    """

    suite: CheckSuite
    carried: tuple[Carried, ...]
    left: tuple[Left, ...]

    @property
    def toml(self) -> str:
        """The suite's document; each rule says what it was, and comments at the end what was left."""
        comments: dict[str, str] = {}
        for each in self.carried:
            for name in each.rules:
                comments[name] = each.source + (f" ({each.note})" if each.note else "")
        text = format_suite(self.suite, comments)
        if self.left:
            lines = [_one_line(f"# {each.source}: {each.why}") for each in self.left]
            text += "\n".join(["", "# not carried over:", *lines, ""])
        return text


class Translated(NamedTuple):
    """What one foreign rule becomes, and what is not quite the same."""

    rules: Sequence[Rule]
    note: str = ""


def gather(
    description: str, translations: Iterable[tuple[str, Callable[[], Translated]]], *, left: Iterable[Left] = ()
) -> Imported:
    """Carry foreign rules over; one that cannot be is left, and nothing else is lost by it.

    Args:
        description: of the suite.
        translations: what each foreign rule is called, and how it is translated.
        left: what is known beforehand to have no equal.
    """
    rules: list[Rule] = []
    made: list[tuple[str, int, str]] = []
    lost = list(left)
    for source, translate in translations:
        try:
            found = translate()
            for rule in found.rules:
                validate_rule(rule)
            validate_patterns((source, rule) for rule in found.rules)
        except NotCarried as why:
            lost.append(Left(source=source, why=str(why)))
        except Invalid as error:
            lost.append(Left(source=source, why=error.message))
        else:
            rules += found.rules
            made.append((source, len(found.rules), found.note))
    names = iter(rule_ids(tuple(rules)))
    carried = tuple(
        Carried(source=source, rules=tuple(next(names) for _ in range(count)), note=note)
        for source, count, note in made
    )
    suite = CheckSuite(description=description, at_most=0.0, rules=tuple(rules))
    return Imported(suite=suite, carried=carried, left=tuple(lost))


def in_expression(column: str) -> str:
    """A column's name as it stands in an expression."""
    if _NAME.fullmatch(column) and column not in _WORDS:
        return column
    return "`" + column.replace("\\", "\\\\").replace("`", "\\`") + "`"


def condition_of(text: str) -> str:
    """A foreign row condition, where it is one of our grammar too once its quotes are single.

    Raises:
        NotCarried: it is not.
    """
    ours = text.replace('"', "'")
    try:
        parse_expression(ours)
    except Invalid as error:
        raise NotCarried(f"its row condition is no expression here: {text}") from error
    return ours


def share_left(mostly: float) -> float:
    """The share that may fail where this share must pass."""
    return max(0.0, round(1.0 - mostly, 12))


def _one_line(text: str) -> str:
    return " ".join(text.split())
