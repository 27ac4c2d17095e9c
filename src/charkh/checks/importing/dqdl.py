"""Carry over a ruleset of Deequ's language (DQDL, as AWS Glue Data Quality has it)."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from charkh.checks.importing.imported import Imported, NotCarried, Translated, gather, in_expression, share_left
from charkh.checks.importing.kinds import kind_of_name
from charkh.checks.row_rules import Length, NoneOf, NotNull, OneOf, Pattern, Range, Unique
from charkh.checks.suite import Rule
from charkh.checks.table_rules import ColumnExists, Columns, Fresh, Measured, RowCount, Statistic
from charkh.core.errors import Invalid

_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|(>=|<=|!=|=|>|<)|([\[\],()])|(-?\d+(?:\.\d+)?)|([A-Za-z_]\w*))')
_STATISTICS: dict[str, Statistic] = {
    "Mean": "mean",
    "Sum": "sum",
    "StandardDeviation": "std",
    "Entropy": "entropy",
    "DistinctValuesCount": "distinct",
    "Uniqueness": "unique_share",
    "UniqueValueRatio": "distinct_share",
    "ColumnCorrelation": "correlation",
}
_BOUNDS = {">": "above", ">=": "min", "<": "below", "<=": "max"}


class _Rule(NamedTuple):
    """A rule's words: its name, its columns, and the tokens of its condition."""

    name: str
    columns: tuple[str, ...]
    condition: tuple[str, ...]


def import_suite(text: str, source: str = "rules.dqdl") -> Imported:
    """The suite in a ruleset.

    Args:
        text: `Rules = [ … ]`.
        source: what to call it in errors.

    Raises:
        Invalid: it has no list of rules.
    """
    plain = re.sub(r"(?m)#.*$", "", text)
    found = re.search(r"Rules\s*=\s*\[(.*)\]", plain, re.DOTALL)
    if found is None:
        raise Invalid(f"{source} has no list of rules", code="check.not_a_suite", hint="It says Rules = [ … ].")
    return gather(f"DQDL: {source}", ((each, _translation(each)) for each in _split(found[1])))


def _split(text: str) -> Iterator[str]:
    """The rules of a list: cut at commas outside of brackets and quotes."""
    depth, begin, quoted = 0, 0, False
    for place, sign in enumerate(text):
        if sign == '"' and (not place or text[place - 1] != "\\"):
            quoted = not quoted
        elif not quoted:
            depth += (sign in "[(") - (sign in "])")
            if sign == "," and not depth:
                yield " ".join(text[begin:place].split())
                begin = place + 1
    if text[begin:].strip():
        yield " ".join(text[begin:].split())


def _translation(text: str) -> Callable[[], Translated]:
    def translate() -> Translated:
        if re.search(r"\)\s*(and|or)\s*\(", text) or text.startswith("("):
            raise NotCarried("rules joined by and / or are not carried: write each")
        try:
            return Translated(list(_rules(_parsed(text))))
        except (ValueError, IndexError, KeyError) as error:
            raise NotCarried("its condition is not understood") from error

    return translate


def _parsed(text: str) -> _Rule:
    tokens: list[str] = []
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            raise NotCarried(f"it cannot be read from {text[place : place + 20]!r} on")
        tokens.append(match[0].strip())
        place = match.end()
    columns: list[str] = []
    for token in tokens[1:]:
        if not token.startswith('"'):
            break
        columns.append(_text(token))
    return _Rule(tokens[0], tuple(columns), tuple(tokens[1 + len(columns) :]))


def _rules(rule: _Rule) -> Iterator[Rule]:
    name, columns = rule.name, rule.columns
    if name in _STATISTICS:
        other = columns[1] if name == "ColumnCorrelation" else ""
        bounds: dict[str, Any] = {**_bounds(rule.condition)}
        yield Measured(column=columns[0], of=_STATISTICS[name], other=other, **bounds)
    elif name == "RowCount":
        low, high = _whole(rule.condition)
        yield RowCount(min=low or 0, max=high)
    elif name == "ColumnCount":
        low, high = _whole(rule.condition)
        yield Columns(min=low or 0, max=high)
    elif name == "ColumnExists":
        yield ColumnExists(column=columns[0])
    elif name == "ColumnDataType":
        kind = kind_of_name(_text(rule.condition[1]))
        if not kind:
            raise NotCarried(f"there is no kind {rule.condition[1]} here")
        yield ColumnExists(column=columns[0], dtype=kind)
    elif name == "IsComplete":
        yield NotNull(columns=columns)
    elif name == "Completeness":
        yield _complete(columns[0], _bounds(rule.condition))
    elif name in {"IsUnique", "IsPrimaryKey"}:
        yield Unique(columns=columns, alone=True)
        if name == "IsPrimaryKey":
            yield NotNull(columns=columns)
    elif name == "ColumnLength":
        low, high = _whole(rule.condition)
        yield Length(column=columns[0], min=low or 0, max=high)
    elif name == "ColumnValues":
        yield _values(columns[0], rule.condition)
    elif name == "DataFreshness":
        yield _fresh(columns[0], rule.condition)
    else:
        raise NotCarried("there is no such check here")


def _complete(column: str, bounds: dict[str, float]) -> Rule:
    if set(bounds) - {"min", "above"}:
        turned = {"min": "max", "max": "min", "above": "below", "below": "above"}
        gaps: dict[str, Any] = {turned[key]: share_left(value) for key, value in bounds.items()}
        return Measured(column=column, of="null_share", **gaps)
    if "above" in bounds:
        return Measured(column=column, of="null_share", below=share_left(bounds["above"]))
    return NotNull(columns=(column,), at_most=share_left(bounds["min"]))


def _values(column: str, condition: Sequence[str]) -> Rule:
    negated = condition[0] == "not"
    words = list(condition[1:] if negated else condition)
    at_most, when = _threshold(column, words)
    common: dict[str, Any] = {"at_most": at_most, "when": when} if when else {}
    if words[0] == "in":
        shape = NoneOf if negated else OneOf
        return shape(column=column, values=tuple(_listed(words[1:])), **common)
    if words[0] == "matches":
        return Pattern(column=column, pattern=_text(words[1]), absent=negated, **common)
    if words[0] in {"=", "!="}:
        return (OneOf if (words[0] == "=") != negated else NoneOf)(column=column, values=(_value(words[1]),), **common)
    if negated:
        raise NotCarried("a range cannot be turned around: write two rules")
    bounds: dict[str, Any] = _bounds(words)
    return Range(column=column, **bounds, **common)


def _threshold(column: str, words: list[str]) -> tuple[float, str]:
    """What may fail by `with threshold > 0.9`, taken off the words; there it is a share of the rows with a value."""
    if "with" not in words:
        return 0.0, ""
    place = words.index("with")
    share = _bounds(words[place + 2 :])
    del words[place:]
    return share_left(share.get("min", share.get("above", 1.0))), f"{in_expression(column)} is not null"


def _bounds(words: Sequence[str]) -> dict[str, float]:
    """`> 5`, `between 1 and 9` (both left out, as there), `= 5`."""
    if words[0] == "between":
        return {"above": float(words[1]), "below": float(words[3])}
    if words[0] == "=":
        return {"min": float(words[1]), "max": float(words[1])}
    return {_BOUNDS[words[0]]: float(words[1])}


def _whole(words: Sequence[str]) -> tuple[int | None, int | None]:
    """Both bounds, included, of a whole number."""
    bounds = _bounds(words)
    low = bounds["above"] + 1 if "above" in bounds else bounds.get("min")
    high = bounds["below"] - 1 if "below" in bounds else bounds.get("max")
    return None if low is None else int(low), None if high is None else int(high)


def _fresh(column: str, words: Sequence[str]) -> Rule:
    if words[0] not in {"<=", "<"} or words[2].rstrip("s") not in {"hour", "day"}:
        raise NotCarried("only a greatest age in hours or days is carried")
    return Fresh(column=column, within=f"{words[1]}{words[2][0]}")


def _listed(words: Sequence[str]) -> Iterator[str | int | float]:
    return (_value(word) for word in words if word not in "[],")


def _value(word: str) -> str | int | float:
    if word.startswith('"'):
        return _text(word)
    return float(word) if "." in word else int(word)


def _text(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word
