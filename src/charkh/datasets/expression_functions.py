"""What the functions and operators of an expression do to Polars expressions, and which kinds of value they take."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

import polars as pl

from charkh.core.errors import Invalid
from charkh.core.expressions import COMPARISONS, Call, Literal, columns_of

INTEGER, NUMBER, TEXT, TRUTH = "integer", "number", "text", "truth value"
DATE, TIME, SPAN, NOTHING, OTHER = "date", "time", "time span", "null", "nested value"

_NUMBERS = frozenset({INTEGER, NUMBER, NOTHING})
_TEXTS = frozenset({TEXT, NOTHING})
_TRUTHS = frozenset({TRUTH, NOTHING})
_TIMES = frozenset({TIME, NOTHING})
_DATES = frozenset({DATE, TIME, NOTHING})
_SPANS = frozenset({SPAN, NOTHING})
_SIMPLE = frozenset({INTEGER, NUMBER, TEXT, TRUTH, DATE, TIME, NOTHING})
_MICROSECONDS = {"days": 86_400_000_000, "hours": 3_600_000_000, "minutes": 60_000_000}
_UNIT = re.compile(r"[1-9][0-9]{0,3}(?:mo|[smhdwqy])")


class Typed(NamedTuple):
    """A compiled part: the Polars expression, and what kind of value it gives."""

    expr: pl.Expr
    kind: str


def call_function(node: Call, arguments: Sequence[Typed]) -> Typed:
    """What a call gives, its arguments being compiled.

    Raises:
        Invalid: an argument is of a kind that the function does not take.
    """
    if unary := _UNARY.get(node.function):
        _require(node, arguments, unary.takes)
        return Typed(unary.build(arguments[0].expr), unary.gives)
    if binary := _BINARY.get(node.function):
        _require(node, arguments, binary.takes)
        return Typed(binary.build(arguments[0].expr, arguments[1].expr), binary.gives)
    return _SPECIAL[node.function](node, arguments)


def reason_of(error: Exception) -> str:
    """What Polars says first, in one line; the rest of its message is about its own query plan."""
    return " ".join(str(error).split("\n\n")[0].split())[:300]


def checked_pattern(pattern: str) -> str:
    """A regular expression that Polars can run (Rust syntax), or `Invalid`."""
    try:
        pl.select(pl.lit("").str.contains(pattern))
    except pl.exceptions.PolarsError as error:
        raise Invalid(
            f"{pattern!r} is no regular expression: {reason_of(error)}",
            code="expression.pattern",
            hint="The syntax is that of Rust's regex crate: no look-around, no back-references.",
        ) from error
    return pattern


@dataclass(frozen=True, slots=True)
class _Unary:
    """A function of one argument: the kinds it takes, the kind it gives, and what it does."""

    takes: frozenset[str]
    gives: str
    build: Callable[[pl.Expr], pl.Expr]


@dataclass(frozen=True, slots=True)
class _Binary:
    """A function of two arguments of the same kinds."""

    takes: frozenset[str]
    gives: str
    build: Callable[[pl.Expr, pl.Expr], pl.Expr]


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _or_null(condition: pl.Expr, value: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(value)


def _text(value: pl.Expr, kind: str) -> pl.Expr:
    if kind == TIME:
        return value.dt.to_string("%Y-%m-%dT%H:%M:%S")
    return value.cast(pl.String)


def _span_of(size: int) -> Callable[[pl.Expr], pl.Expr]:
    return lambda a: (a * size).cast(pl.Int64).cast(pl.Duration("us"))


def _length_of(size: int) -> Callable[[pl.Expr], pl.Expr]:
    return lambda a: a.dt.total_microseconds() / size


_UNARY: dict[str, _Unary] = {
    "not": _Unary(_TRUTHS, TRUTH, lambda a: ~a.cast(pl.Boolean)),
    "sqrt": _Unary(_NUMBERS, NUMBER, lambda a: _or_null(a >= 0, a.cast(pl.Float64).sqrt())),
    "log": _Unary(_NUMBERS, NUMBER, lambda a: _or_null(a > 0, a.cast(pl.Float64).log())),
    "floor": _Unary(_NUMBERS, NUMBER, lambda a: a.cast(pl.Float64).floor()),
    "ceil": _Unary(_NUMBERS, NUMBER, lambda a: a.cast(pl.Float64).ceil()),
    "lower": _Unary(_TEXTS, TEXT, lambda a: a.cast(pl.String).str.to_lowercase()),
    "upper": _Unary(_TEXTS, TEXT, lambda a: a.cast(pl.String).str.to_uppercase()),
    "trim": _Unary(_TEXTS, TEXT, lambda a: a.cast(pl.String).str.strip_chars()),
    "length": _Unary(_TEXTS, INTEGER, lambda a: a.cast(pl.String).str.len_chars().cast(pl.Int64)),
    "year": _Unary(_DATES, INTEGER, lambda a: a.dt.year().cast(pl.Int64)),
    "month": _Unary(_DATES, INTEGER, lambda a: a.dt.month().cast(pl.Int64)),
    "day": _Unary(_DATES, INTEGER, lambda a: a.dt.day().cast(pl.Int64)),
    "weekday": _Unary(_DATES, INTEGER, lambda a: a.dt.weekday().cast(pl.Int64)),
    "day_of_year": _Unary(_DATES, INTEGER, lambda a: a.dt.ordinal_day().cast(pl.Int64)),
    "hour": _Unary(_TIMES, INTEGER, lambda a: a.dt.hour().cast(pl.Int64)),
    "minute": _Unary(_TIMES, INTEGER, lambda a: a.dt.minute().cast(pl.Int64)),
    "second": _Unary(_TIMES, INTEGER, lambda a: a.dt.second().cast(pl.Int64)),
    **{name: _Unary(_NUMBERS, SPAN, _span_of(size)) for name, size in _MICROSECONDS.items()},
    **{f"in_{name}": _Unary(_SPANS, NUMBER, _length_of(size)) for name, size in _MICROSECONDS.items()},
}
_BINARY: dict[str, _Binary] = {
    "and": _Binary(_TRUTHS, TRUTH, lambda a, b: a & b),
    "or": _Binary(_TRUTHS, TRUTH, lambda a, b: a | b),
    "/": _Binary(_NUMBERS, NUMBER, lambda a, b: _or_null(b != 0, a.cast(pl.Float64) / b)),
    "contains": _Binary(_TEXTS, TRUTH, lambda a, b: a.cast(pl.String).str.contains(b.cast(pl.String), literal=True)),
    "starts_with": _Binary(_TEXTS, TRUTH, lambda a, b: a.cast(pl.String).str.starts_with(b.cast(pl.String))),
    "ends_with": _Binary(_TEXTS, TRUTH, lambda a, b: a.cast(pl.String).str.ends_with(b.cast(pl.String))),
}


def _require(node: Call, arguments: Sequence[Typed], takes: frozenset[str]) -> None:
    for argument in arguments:
        if argument.kind not in takes:
            wanted = " or ".join(sorted(takes - {NOTHING}))
            raise Invalid(
                f"{node.function!r} takes {_a(wanted)}, not {_a(argument.kind)}",
                code="expression.wrong_kind",
                hint=f"Convert it first: {_CONVERSIONS.get(wanted, 'text(), number() and integer() convert values')}.",
            )


_CONVERSIONS = {
    "integer or number": "number(x) reads text as a number",
    "time": "a `parse_time` step reads text as a time",
    "date or time": "a `parse_time` step reads text as a time",
}


def _null_test(node: Call, arguments: Sequence[Typed]) -> Typed:
    inner = arguments[0].expr
    return Typed(inner.is_null() if node.function == "is null" else inner.is_not_null(), TRUTH)


def _comparison(node: Call, arguments: Sequence[Typed]) -> Typed:
    a, b = _alike(node.function, *arguments)
    if not columns_of(node.arguments[0]):
        # Polars 2.1 gives one row for a literal compared with a column in which a condition left nothing but nulls;
        # the other way round it gives all of them.
        return Typed(_COMPARED[_MIRRORED[node.function]](b, a), TRUTH)
    return Typed(_COMPARED[node.function](a, b), TRUTH)


_COMPARED: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "==": pl.Expr.eq,
    "!=": pl.Expr.ne,
    "<": pl.Expr.lt,
    "<=": pl.Expr.le,
    ">": pl.Expr.gt,
    ">=": pl.Expr.ge,
}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _alike(function: str, left: Typed, right: Typed) -> tuple[pl.Expr, pl.Expr]:
    """Both sides in one type, or `Invalid` where they cannot be compared."""
    kinds = {left.kind, right.kind} - {NOTHING}
    if kinds <= {DATE, TIME} and len(kinds) == 2:
        return tuple(side.expr.cast(pl.Datetime("us")) if side.kind == DATE else side.expr for side in (left, right))  # pyright: ignore[reportReturnType]
    if OTHER in kinds or (len(kinds) > 1 and not kinds <= {INTEGER, NUMBER}):
        raise Invalid(
            f"{function!r} cannot bring together {_a(left.kind)} and {_a(right.kind)}",
            code="expression.wrong_kind",
            hint="Convert one of them: text(), number() and integer() convert values; date('2013-01-31') is a date.",
        )
    return left.expr, right.expr


def _membership(node: Call, arguments: Sequence[Typed]) -> Typed:
    left, *items = arguments
    values = [item.value for item in node.arguments[1:] if isinstance(item, Literal)]
    for item in items:
        _alike(node.function, left, item)
    inner = left.expr
    if left.kind in {INTEGER, NUMBER}:
        inner = inner.cast(pl.Float64)
        values = [float(value) for value in values if isinstance(value, int | float)]
    found = inner.is_in(values)
    return Typed(found if node.function == "in" else ~found, TRUTH)


def _add(node: Call, arguments: Sequence[Typed]) -> Typed:
    left, right = arguments
    a, b = left.expr, right.expr
    kinds = (left.kind, right.kind)
    if left.kind in {DATE, TIME} and right.kind == SPAN:
        a = a.cast(pl.Datetime("us")) if left.kind == DATE else a
        return Typed(a + b if node.function == "+" else a - b, TIME)
    if kinds == (SPAN, TIME) and node.function == "+":
        return Typed(b + a, TIME)
    if kinds == (SPAN, SPAN):
        return Typed(a + b if node.function == "+" else a - b, SPAN)
    if set(kinds) <= {DATE, TIME} and node.function == "-":
        return Typed(a.cast(pl.Datetime("us")) - b.cast(pl.Datetime("us")), SPAN)
    _require(node, arguments, _NUMBERS)
    return Typed(a + b if node.function == "+" else a - b, _number_kind(arguments))


def _arithmetic(node: Call, arguments: Sequence[Typed]) -> Typed:
    _require(node, arguments, _NUMBERS)
    parts = [argument.expr for argument in arguments]
    kind = _number_kind(arguments)
    if node.function == "negate":
        return Typed(-parts[0], kind)
    if node.function == "abs":
        return Typed(parts[0].abs(), kind)
    a, b = parts
    if node.function == "*":
        return Typed(a * b, kind)
    return Typed(_or_null(b != 0, a // b if node.function == "//" else a % b), kind)


def _number_kind(arguments: Sequence[Typed]) -> str:
    return NUMBER if NUMBER in {argument.kind for argument in arguments} else INTEGER


def _convert(node: Call, arguments: Sequence[Typed]) -> Typed:
    (value,) = arguments
    _require(node, arguments, _SIMPLE)
    if node.function == "text":
        return Typed(_text(value.expr, value.kind), TEXT)
    if value.kind in {DATE, TIME}:
        _require(node, arguments, _NUMBERS | {TEXT, TRUTH})
    kind = INTEGER if node.function == "integer" else NUMBER
    inner = value.expr.str.strip_chars() if value.kind == TEXT else value.expr
    number = inner.cast(pl.Float64, strict=False).fill_nan(None)
    if kind == NUMBER:
        return Typed(number, kind)
    if value.kind == NUMBER:
        return Typed(number.cast(pl.Int64, strict=False), kind)
    return Typed(inner.cast(pl.Int64, strict=False), kind)


def _concat(node: Call, arguments: Sequence[Typed]) -> Typed:
    _require(node, arguments, _SIMPLE)
    return Typed(pl.concat_str([_text(argument.expr, argument.kind) for argument in arguments]), TEXT)


def _choice(node: Call, arguments: Sequence[Typed]) -> Typed:
    """`coalesce`, `least` and `greatest`: arguments of one kind; the two last pass over nulls."""
    first = next((argument for argument in arguments if argument.kind != NOTHING), arguments[0])
    parts = [_alike(node.function, argument, first)[0] for argument in arguments]
    kinds = {argument.kind for argument in arguments} - {NOTHING}
    kind = NUMBER if kinds == {INTEGER, NUMBER} else TIME if kinds == {DATE, TIME} else first.kind
    build = {"coalesce": pl.coalesce, "least": pl.min_horizontal, "greatest": pl.max_horizontal}[node.function]
    return Typed(build(parts), kind)


def _if(node: Call, arguments: Sequence[Typed]) -> Typed:
    condition, yes, no = arguments
    _require(node, [condition], _TRUTHS)
    a, b = _alike("if", yes, no)
    kinds = {yes.kind, no.kind} - {NOTHING}
    kind = NUMBER if kinds == {INTEGER, NUMBER} else TIME if kinds == {DATE, TIME} else (*kinds, NOTHING)[0]
    return Typed(pl.when(condition.expr.cast(pl.Boolean)).then(a).otherwise(b), kind)


def _slice(node: Call, arguments: Sequence[Typed]) -> Typed:
    text, start, length = arguments
    _require(node, [text], _TEXTS)
    _require(node, [start, length], frozenset({INTEGER, NOTHING}))
    valid = (start.expr >= 0) & (length.expr >= 0)
    sliced = text.expr.cast(pl.String).str.slice(
        start.expr.clip(lower_bound=0), length.expr.clip(lower_bound=0).cast(pl.UInt64)
    )
    return Typed(_or_null(valid, sliced), TEXT)


def _time_of_parts(node: Call, arguments: Sequence[Typed]) -> Typed:
    if len(arguments) == 1:
        return _moment(node, arguments)
    _require(node, arguments, frozenset({INTEGER, NOTHING}))
    if len(arguments) < 3:
        raise Invalid(
            "datetime() takes year, month, day and perhaps hour and minute, or one text",
            code="expression.arguments",
            hint="Write datetime(year, month, day, hour, minute) or datetime('2013-01-31T05:15').",
        )
    year, month, day, hour, minute = [argument.expr for argument in arguments] + [pl.lit(0)] * (5 - len(arguments))
    month_start = pl.datetime(year.clip(1, 9999), month.clip(1, 12), 1)
    valid = (
        year.is_between(1, 9999)
        & month.is_between(1, 12)
        & (day >= 1)
        & (day <= month_start.dt.month_end().dt.day())
        & hour.is_between(0, 23)
        & minute.is_between(0, 59)
    )
    return Typed(_or_null(valid, month_start + pl.duration(days=day - 1, hours=hour, minutes=minute)), TIME)


def _written(node: Call, place: int, what: str) -> str:
    """The text literal at `place`; what decides the form of the result must not depend on the row."""
    argument = node.arguments[place] if place < len(node.arguments) else None
    if isinstance(argument, Literal) and isinstance(argument.value, str):
        return argument.value
    raise Invalid(
        f"{node.function}() needs {what} written out as text",
        code="expression.arguments",
        hint="docs/formats/recipes.md lists the functions with their arguments.",
    )


def _matches(node: Call, arguments: Sequence[Typed]) -> Typed:
    value = arguments[0]
    _require(node, [value], _TEXTS)
    return Typed(value.expr.cast(pl.String).str.contains(checked_pattern(_written(node, 1, "a pattern"))), TRUTH)


def _truncate(node: Call, arguments: Sequence[Typed]) -> Typed:
    value = arguments[0]
    _require(node, [value], _DATES)
    unit = _written(node, 1, "a unit")
    if not _UNIT.fullmatch(unit):
        raise Invalid(
            f"{unit!r} is no unit of time", code="expression.arguments", hint="Write '1h', '15m', '1d', '1mo'."
        )
    return Typed(value.expr.dt.truncate(unit), value.kind)


def _format_time(node: Call, arguments: Sequence[Typed]) -> Typed:
    value = arguments[0]
    _require(node, [value], _DATES)
    return Typed(value.expr.dt.to_string(_written(node, 1, "a format")), TEXT)


def _round(node: Call, arguments: Sequence[Typed]) -> Typed:
    value = arguments[0]
    _require(node, [value], _NUMBERS)
    digits = node.arguments[1] if len(node.arguments) > 1 else Literal(0)
    if not isinstance(digits, Literal) or not isinstance(digits.value, int) or not 0 <= digits.value <= 15:
        raise Invalid("round() takes 0 to 15 digits", code="expression.arguments", hint="Write round(x, 2).")
    return Typed(value.expr.cast(pl.Float64).round(digits.value), NUMBER)


def _moment(node: Call, _arguments: Sequence[Typed]) -> Typed:
    written = _written(node, 0, "a date")
    try:
        if node.function == "date":
            return Typed(pl.lit(date.fromisoformat(written)), DATE)
        return Typed(pl.lit(datetime.fromisoformat(written)), TIME)
    except ValueError as error:
        raise Invalid(
            f"{written!r} is no {node.function}",
            code="expression.arguments",
            hint="Write date('2013-01-31') or datetime('2013-01-31T05:15').",
        ) from error


_SPECIAL: dict[str, Callable[[Call, Sequence[Typed]], Typed]] = {
    **dict.fromkeys(("+", "-"), _add),
    **dict.fromkeys(("*", "//", "%", "negate", "abs"), _arithmetic),
    **dict.fromkeys(("text", "number", "integer"), _convert),
    **dict.fromkeys(("coalesce", "least", "greatest"), _choice),
    **dict.fromkeys(("in", "not in"), _membership),
    **dict.fromkeys(("is null", "is not null"), _null_test),
    **dict.fromkeys(COMPARISONS, _comparison),
    "concat": _concat,
    "if": _if,
    "slice": _slice,
    "datetime": _time_of_parts,
    "date": _moment,
    "matches": _matches,
    "truncate": _truncate,
    "format_time": _format_time,
    "round": _round,
}
