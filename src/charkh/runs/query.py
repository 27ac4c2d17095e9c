"""The search grammar: what runs are asked for, and in which order.

    params.rate >= 0.1 and metrics.auc > 0.7
    (status = 'finished' or status = 'running') and not tags.stage in ('draft', 'old')
    max(metrics.auc) > 0.8 and name ~ 'forest' and created >= '2026-01-31'

A field is `params.NAME`, `metrics.NAME`, `tags.NAME`, or one of the run's own words; names with odd characters
stand in `backquotes`. A field that a run lacks matches no comparison. Pure: `charkh.runs.search_sql` turns a
condition into SQL, and `matches` answers it for a run that the catalog does not know to the end yet.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, cast

import msgspec

from charkh.core.errors import Invalid

MAX_TEXT = 4000
MAX_DEPTH = 50

Family = Literal["params", "metrics", "low", "high", "tags", "run"]
Scalar = bool | int | float | str
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "~", "in", "not in", "is null", "is not null")

TIMES = ("created", "ended")
NUMBERS = ("duration", "lost_records")
TEXTS = ("id", "name", "group", "parent", "status", "actor", "commit", "branch", "error")
WORDS = (*TEXTS, *TIMES, *NUMBERS)
"""What a run itself has; times are seconds since the epoch or ISO dates, durations are seconds."""

_SYNONYMS = {"=": "==", "started": "created", "run_id": "id", "user": "actor"}


class Field(msgspec.Struct, frozen=True):
    """What is compared: `family` says whether it is a param, a tag, a metric (its value that shows, its smallest
    `low` or its greatest `high`) or the run's own word.
    """

    family: Family
    name: str

    def __str__(self) -> str:
        text = self.name if self.family == "run" else f"{self.family}.{self.name}"
        return {"low": f"min(metrics.{self.name})", "high": f"max(metrics.{self.name})"}.get(self.family, text)


class Comparison(msgspec.Struct, frozen=True, tag="comparison"):
    """A field beside one value, several (`in`) or none (`is null`)."""

    field: Field
    operator: str
    values: tuple[Scalar, ...] = ()


class Not(msgspec.Struct, frozen=True, tag="not"):
    """What must not hold."""

    condition: "Condition"


class All(msgspec.Struct, frozen=True, tag="all"):
    """What must hold together."""

    conditions: "tuple[Condition, ...]"


class Any_(msgspec.Struct, frozen=True, tag="any"):  # noqa: N801 (`Any` is taken by typing)
    """What must hold in part."""

    conditions: "tuple[Condition, ...]"


Condition = Comparison | Not | All | Any_


class Order(msgspec.Struct, frozen=True):
    """One key of the order; runs without the field come last whichever way it goes."""

    field: Field
    descending: bool = False


NEWEST_FIRST = (Order(Field("run", "created"), descending=True),)

Lookup = Callable[[Field], Any]
"""A run's value of a field; None where it has none."""


def parse_condition(text: str) -> Condition | None:
    """The condition in `text`; None when it is empty and every run is meant.

    Raises:
        Invalid: it is not of the grammar; the message points at the place.
    """
    if not text.strip():
        return None
    return _Parser(text).condition()


def parse_order(text: str) -> tuple[Order, ...]:
    """`metrics.auc desc, created`; newest first when it is empty.

    Raises:
        Invalid: it is not of the grammar; the message points at the place.
    """
    return _Parser(text).order() if text.strip() else NEWEST_FIRST


def matches(condition: Condition | None, lookup: Lookup) -> bool:
    """Whether a run whose fields `lookup` tells meets a condition."""
    if condition is None:
        return True
    if isinstance(condition, All):
        return all(matches(each, lookup) for each in condition.conditions)
    if isinstance(condition, Any_):
        return any(matches(each, lookup) for each in condition.conditions)
    if isinstance(condition, Not):
        return not matches(condition.condition, lookup)
    value = lookup(condition.field)
    if condition.operator in {"is null", "is not null"}:
        return (value is None) == (condition.operator == "is null")
    return value is not None and _compare(value, condition.operator, condition.values)


def sorting_key(orders: Sequence[Order], lookup: Lookup) -> tuple[Any, ...]:
    """Sorts runs as `orders` say: numbers, then texts, then everything else and what is missing."""
    return tuple(_sortable(lookup(order.field), order.descending) for order in orders)


def _compare(value: Any, operator: str, wanted: Sequence[Scalar]) -> bool:
    if _is_nan(value):
        return False
    if operator in {"in", "not in"}:
        return any(_compare(value, "==", [each]) for each in wanted) == (operator == "in")
    other = wanted[0]
    if operator == "~":
        return isinstance(value, str) and isinstance(other, str) and other.lower() in value.lower()
    alike = _type_of(value) == _type_of(other)
    if operator in {"==", "!="}:
        return (alike and value == other) == (operator == "==")
    if not alike or isinstance(value, bool):
        return False
    left, right = cast(float, value), cast(float, other)
    answers = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return answers[operator]


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


class _Reversed(NamedTuple):
    text: str

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return self.text > cast(str, other[0])


def _sortable(value: Any, descending: bool) -> tuple[int, Any]:
    if isinstance(value, str):
        return (1, _Reversed(value) if descending else value)
    if isinstance(value, bool) or not isinstance(value, int | float) or _is_nan(value):
        return (2, 0)
    return (0, -value if descending else value)


_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
    r"|(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<field>[^\W\d]\w*\.`[^`]+`)|(?P<name>[^\W\d][\w./:\-\[\]]*)"
    r"|(?P<sign>==|!=|<=|>=|<>|[=<>~(),]))",
    re.DOTALL,
)
_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("params", "param"), "params"),
    **dict.fromkeys(("metrics", "metric"), "metrics"),
    **dict.fromkeys(("tags", "tag"), "tags"),
}
_ASPECTS: dict[str, Family] = {"min": "low", "max": "high", "last": "metrics"}


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


class _Parser:
    """Recursive descent, one method a level of precedence."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise Invalid(f"a search of {len(text)} characters is longer than {MAX_TEXT}", code="run.bad_search")
        self._text = text
        self._next = 0
        self._depth = 0
        self._tokens = self._scan()

    def condition(self) -> Condition:
        found = self._alternatives()
        self._expect_end()
        return found

    def order(self) -> tuple[Order, ...]:
        found = [self._order_key()]
        while self._take(","):
            found.append(self._order_key())
        self._expect_end()
        return tuple(found)

    def _order_key(self) -> Order:
        field = self._field()
        if self._take("desc"):
            return Order(field, descending=True)
        self._take("asc")
        return Order(field)

    def _alternatives(self) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(self._peek(), f"it is nested more than {MAX_DEPTH} deep")
        found = [self._together()]
        while self._take("or"):
            found.append(self._together())
        self._depth -= 1
        return found[0] if len(found) == 1 else Any_(tuple(found))

    def _together(self) -> Condition:
        found = [self._negation()]
        while self._take("and"):
            found.append(self._negation())
        return found[0] if len(found) == 1 else All(tuple(found))

    def _negation(self) -> Condition:
        negated = False
        while self._take("not"):
            negated = not negated
        if self._take("("):
            found = self._alternatives()
            self._expect(")")
        else:
            found = self._comparison()
        return Not(found) if negated else found

    def _comparison(self) -> Condition:
        field = self._field()
        if self._take("is"):
            operator = "is not null" if self._take("not") else "is null"
            self._expect("null")
            return Comparison(field, operator)
        if self._take("not"):
            self._expect("in")
            return Comparison(field, "not in", self._list(field))
        if self._take("in"):
            return Comparison(field, "in", self._list(field))
        token = self._peek()
        operator = {"=": "==", "<>": "!="}.get(token.text, token.text)
        if token.kind != "sign" or operator not in OPERATORS:
            raise self._error(token, "a comparison was expected: =, !=, <, <=, >, >=, ~, in, is null")
        self._next += 1
        sought = self._peek()
        value = self._value(field)
        if operator == "~" and not isinstance(value, str):
            raise self._error(sought, f"'~' looks for a text: write '{sought.text}'")
        return Comparison(field, operator, (value,))

    def _field(self) -> Field:
        token = self._peek()
        self._next += 1
        if token.kind == "name" and token.text.lower() in _ASPECTS and self._take("("):
            inner = self._field()
            if inner.family != "metrics":
                raise self._error(self._tokens[self._next - 1], f"{token.text}() takes a metric")
            self._expect(")")
            return Field(_ASPECTS[token.text.lower()], inner.name)
        family, dot, name = token.text.partition(".")
        if token.kind in {"name", "field"} and dot and family in _FAMILIES and name:
            return Field(_FAMILIES[family], name.strip("`"))
        word = _SYNONYMS.get(token.text, token.text)
        if token.kind == "name" and word in WORDS:
            return Field("run", word)
        raise self._error(token, f"a field was expected: params.NAME, metrics.NAME, tags.NAME, {', '.join(WORDS)}")

    def _list(self, field: Field) -> tuple[Scalar, ...]:
        self._expect("(")
        found = [self._value(field)]
        while self._take(","):
            found.append(self._value(field))
        self._expect(")")
        return tuple(found)

    def _value(self, field: Field) -> Scalar:
        token = self._peek()
        value = _literal(token)
        if value is None:
            raise self._error(token, "a value was expected: a number, 'text', true or false")
        self._next += 1
        if field.family == "run" and field.name in TIMES and isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError as error:
                raise self._error(token, f"{field.name} is a time, such as '2026-01-31'") from error
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        numeric = field.family in {"metrics", "low", "high"} or field.name in (*TIMES, *NUMBERS)
        if numeric and field.family not in {"params", "tags"} and isinstance(value, bool | str):
            raise self._error(token, f"{field} is a number")
        textual = field.family == "tags" or (field.family == "run" and field.name in TEXTS)
        if textual and not isinstance(value, str):
            raise self._error(token, f"{field} is a text: write '{token.text}'")
        return value

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token.kind in {"name", "sign"} and token.text.lower() == text:
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._error(self._peek(), f"{text!r} was expected")

    def _expect_end(self) -> None:
        if self._peek().kind != "end":
            raise self._error(self._peek(), "'and', 'or' or the end was expected")

    def _scan(self) -> list[_Token]:
        tokens: list[_Token] = []
        place = 0
        while match := _TOKEN.match(self._text, place):
            kind = match.lastgroup or ""
            tokens.append(_Token(kind, match[kind], match.start(kind)))
            place = match.end()
        rest = self._text[place:]
        if rest.strip():
            begin = place + len(rest) - len(rest.lstrip())
            raise self._error(_Token("odd", self._text[begin], begin), "this is not of the grammar")
        return [*tokens, _Token("end", "", len(self._text.rstrip()))]

    def _error(self, token: _Token, wanted: str) -> Invalid:
        line = " ".join(self._text.split("\n"))
        return Invalid(
            f"cannot read the search at character {token.place + 1}: {wanted}\n  {line}\n  {' ' * token.place}^",
            code="run.bad_search",
            hint="Write e.g. params.rate >= 0.1 and metrics.auc > 0.7; texts in 'quotes', odd names in `backquotes`.",
            facts={"place": token.place},
        )


def _literal(token: _Token) -> Scalar | None:
    if token.kind == "text":
        return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
    if token.kind == "number":
        whole = not set(token.text) & set(".eE")
        return int(token.text) if whole and len(token.text) < 19 else float(token.text)
    return {"true": True, "false": False}.get(token.text.lower()) if token.kind == "name" else None
