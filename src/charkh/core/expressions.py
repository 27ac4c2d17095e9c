"""The expression grammar: what a recipe derives and filters by, and what a check demands between columns.

    arr_delay > 15
    distance / 1.609 >= 500 and origin in ('EWR', 'JFK')
    concat(carrier, '-', flight)
    truncate(scheduled_at, '1h') - hours(3)
    if(seats is null, 'unknown', 'known')

An expression is data, never code: a tree of literals, columns and the functions listed here, each of which looks
at one row alone. Pure; `charkh.datasets.expressions` turns the tree into a Polars expression.
(docs/formats/recipes.md is the reference for people who write them.)
"""

import difflib
import functools
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from charkh.core.errors import Invalid

MAX_TEXT = 4000
MAX_DEPTH = 60

Scalar = bool | int | float | str | None


class Literal(msgspec.Struct, frozen=True, tag="literal"):
    """A number, text, truth value or `null`."""

    value: Scalar


class Column(msgspec.Struct, frozen=True, tag="column"):
    """The value of a column in the row."""

    name: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """A function or operator (`+`, `and`, `in`, `is null`, …) and what it is applied to."""

    function: str
    arguments: "tuple[Expression, ...]"


Expression = Literal | Column | Call


class Arity(NamedTuple):
    """How many arguments a function takes; `most` is None for any number."""

    least: int
    most: int | None


FUNCTIONS: dict[str, Arity] = {
    **dict.fromkeys(("abs", "floor", "ceil", "sqrt", "log", "integer", "number", "text"), Arity(1, 1)),
    **dict.fromkeys(("lower", "upper", "trim", "length"), Arity(1, 1)),
    **dict.fromkeys(("year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second"), Arity(1, 1)),
    **dict.fromkeys(("date", "days", "hours", "minutes", "in_days", "in_hours", "in_minutes"), Arity(1, 1)),
    **dict.fromkeys(("contains", "starts_with", "ends_with", "matches", "truncate", "format_time"), Arity(2, 2)),
    **dict.fromkeys(("concat", "coalesce", "least", "greatest"), Arity(1, None)),
    "round": Arity(1, 2),
    "slice": Arity(3, 3),
    "datetime": Arity(1, 5),
    "if": Arity(3, 3),
}
"""The functions of the grammar, by name."""

COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_WORDS = {"and", "or", "not", "in", "is", "null", "true", "false"}
_KEYWORDS: dict[str, Scalar] = {"null": None, "true": True, "false": False}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<text>'(?:[^'\\]|\\.)*')|(?P<quoted>`(?:[^`\\]|\\.)+`)"
    r"|(?P<name>[^\W\d]\w*)|(?P<sign>==|!=|<=|>=|//|[-+*/%<>(),]))",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


@functools.lru_cache(maxsize=1024)
def parse_expression(text: str) -> Expression:
    """Parse one expression.

    Raises:
        Invalid: it is not of the grammar; the message says where.
    """
    if len(text) > MAX_TEXT:
        raise Invalid(
            f"an expression of {len(text)} characters is longer than {MAX_TEXT}",
            code="expression.too_long",
            hint="Derive the parts as columns of their own.",
        )
    return _Parser(text).whole()


def columns_of(expression: Expression) -> tuple[str, ...]:
    """The columns that an expression looks at, in order of their first mention."""
    found: dict[str, None] = {}
    pending: list[Expression] = [expression]
    while pending:
        node = pending.pop(0)
        if isinstance(node, Column):
            found[node.name] = None
        elif isinstance(node, Call):
            pending[:0] = node.arguments
    return tuple(found)


class _Parser:
    """Recursive descent, one method a level of precedence."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Expression:
        expression = self._expression()
        if self._peek().kind != "end":
            raise self._error(self._peek(), "nothing more")
        return expression

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Invalid(
                f"the expression is nested more than {MAX_DEPTH} deep",
                code="expression.too_deep",
                hint="Derive the parts as columns of their own.",
            )
        left = self._conjunction()
        while self._take("or"):
            left = Call("or", (left, self._conjunction()))
        self._depth -= 1
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self._take("and"):
            left = Call("and", (left, self._negation()))
        return left

    def _negation(self) -> Expression:
        count = 0
        while self._take("not"):
            count += 1
        node = self._comparison()
        for _ in range(self._bounded(count)):
            node = Call("not", (node,))
        return node

    def _comparison(self) -> Expression:
        left = self._sum()
        if self._take("is"):
            operator = "is not null" if self._take("not") else "is null"
            self._expect("null")
            return Call(operator, (left,))
        if self._take("not"):
            self._expect("in")
            return Call("not in", (left, *self._list()))
        if self._take("in"):
            return Call("in", (left, *self._list()))
        for operator in COMPARISONS:
            if self._take(operator):
                return Call(operator, (left, self._sum()))
        return left

    def _sum(self) -> Expression:
        left = self._product()
        while operator := self._take_any(("+", "-")):
            left = Call(operator, (left, self._product()))
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while operator := self._take_any(("*", "/", "//", "%")):
            left = Call(operator, (left, self._signed()))
        return left

    def _signed(self) -> Expression:
        count = 0
        while self._take("-"):
            count += 1
        node = self._primary()
        for _ in range(self._bounded(count)):
            node = _negated(node)
        return node

    def _primary(self) -> Expression:
        token = self._peek()
        self._next += 1
        if token.kind == "number":
            return Literal(_number(token.text))
        if token.kind == "text":
            return Literal(_unquoted(token.text))
        if token.kind == "quoted":
            return Column(_unquoted(token.text))
        if token.kind == "name" and token.text in _KEYWORDS:
            return Literal(_KEYWORDS[token.text])
        if token.kind == "name" and token.text not in _WORDS:
            return self._call(token) if self._take("(") else Column(token.text)
        if token.text == "(" and token.kind == "sign":
            inner = self._expression()
            self._expect(")")
            return inner
        raise self._error(token, "a value, a column or '('")

    def _call(self, name: _Token) -> Expression:
        arity = FUNCTIONS.get(name.text)
        if arity is None:
            nearest = difflib.get_close_matches(name.text, list(FUNCTIONS), n=1, cutoff=0.5)
            raise Invalid(
                f"there is no function {name.text!r} (at character {name.place + 1} of {self._text!r})",
                code="expression.unknown_function",
                hint=f"Did you mean {nearest[0]!r}?" if nearest else f"Known: {', '.join(sorted(FUNCTIONS))}.",
            )
        arguments = self._arguments()
        if len(arguments) < arity.least or (arity.most is not None and len(arguments) > arity.most):
            takes = (
                f"{arity.least}" if arity.most == arity.least else f"{arity.least} to {arity.most or 'any number of'}"
            )
            raise Invalid(
                f"{name.text}() takes {takes} arguments, not {len(arguments)} (in {self._text!r})",
                code="expression.arguments",
                hint="docs/formats/recipes.md lists the functions with their arguments.",
            )
        return Call(name.text, arguments)

    def _list(self) -> tuple[Expression, ...]:
        self._expect("(")
        items = self._arguments()
        if not items or not all(isinstance(item, Literal) and item.value is not None for item in items):
            raise Invalid(
                f"'in' needs a list of values (in {self._text!r})",
                code="expression.invalid",
                hint="Write e.g. origin in ('EWR', 'JFK'); for missing values write 'origin is null'.",
            )
        return items

    def _arguments(self) -> tuple[Expression, ...]:
        if self._take(")"):
            return ()
        found = [self._expression()]
        while self._take(","):
            found.append(self._expression())
        self._expect(")")
        return tuple(found)

    def _bounded(self, count: int) -> int:
        if count > MAX_DEPTH:
            raise Invalid(f"{count} signs in a row", code="expression.too_deep", hint="Leave them out.")
        return count

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token.text == text and token.kind in {"name", "sign"}:
            self._next += 1
            return True
        return False

    def _take_any(self, texts: Sequence[str]) -> str:
        return next((text for text in texts if self._take(text)), "")

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._error(self._peek(), repr(text))

    def _error(self, token: _Token, wanted: str) -> Invalid:
        found = repr(token.text) if token.kind != "end" else "the end"
        return Invalid(
            f"cannot read {self._text!r}: {wanted} was expected at character {token.place + 1}, not {found}",
            code="expression.invalid",
            hint="Text stands in 'single quotes', odd column names in `backquotes`; see docs/formats/recipes.md.",
        )


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while match := _TOKEN.match(text, place):
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        place = match.end()
    if text[place:].strip():
        raise Invalid(
            f"cannot read {text!r} from character {place + 1} on: {text[place : place + 20].strip()!r}",
            code="expression.invalid",
            hint="Text stands in 'single quotes', odd column names in `backquotes`; equality is '=='.",
        )
    tokens.append(_Token("end", "", len(text)))
    return tokens


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)


def _number(text: str) -> int | float:
    value = float(text) if set(text) & set(".eE") else int(text)
    if not math.isfinite(value) or (abs(value) >= 2**63 and isinstance(value, int)):
        raise Invalid(f"the number {text[:40]} is too large", code="expression.invalid", hint="Use up to 64 bits.")
    return value


def _negated(node: Expression) -> Expression:
    if isinstance(node, Literal) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return Literal(-node.value)
    return Call("negate", (node,))
