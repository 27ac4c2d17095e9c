"""The search grammar: one text for the command line, the SDK and HTTP.

    params.rate >= 0.1 and metrics.auc > 0.7
    (status = 'finished' or status = 'running') and not tags.stage in ('draft', 'old')
    max(metrics.auc) > 0.8 and name ~ 'forest' and created >= -7d
    data = 'flights@3' and artifact ~ '*.onnx' and project ~ 'flights/*'

A field is `params.NAME`, `metrics.NAME`, `tags.NAME`, one of the run's own words, or `data`, `artifact` and `text`, of
which a run has several; names with odd characters stand in `backquotes`. Days, and dates without a zone, are UTC.
"""

import difflib
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from charkh.core.errors import Invalid
from charkh.core.quantities import parse_duration
from charkh.runs.query import (
    ASPECTS,
    NEWEST_FIRST,
    NUMBERS,
    OPERATORS,
    PATTERNS,
    SETS,
    TEXTS,
    TIMES,
    TRUTHS,
    WORDS,
    All,
    Any_,
    Comparison,
    Condition,
    Family,
    Field,
    Not,
    Order,
    Scalar,
)

MAX_TEXT = 4000
MAX_DEPTH = 50
DAY = 86400.0

_SYNONYMS = {"started": "created", "run_id": "id"}
_SIGNS = {"=": "==", "<>": "!="}
_FOR_SETS = ("==", *PATTERNS, "in", "is null", "is not null")


def parse_condition(text: str, *, now: float | None = None) -> Condition | None:
    """The condition in `text`; None when it is empty and every run is meant.

    Args:
        text: such as `metrics.auc > 0.7`.
        now: seconds since the epoch, from which `-7d` and `today` are counted.

    Raises:
        Invalid: it is not of the grammar; the message points at the place.
    """
    if not text.strip():
        return None
    return _Parser(text, now).condition()


def parse_fields(text: str, *, family: Family = "metrics") -> tuple[Field, ...]:
    """Fields by commas; a word that is none by itself is a name of `family`: `auc` is `metrics.auc`.

    Raises:
        Invalid: it is not of the grammar; the message points at the place.
    """
    found: list[Field] = []
    for part in _PARTS.findall(text):
        try:
            found += [key.field for key in _Parser(part, None).order()]
        except Invalid:
            if "(" in part or part.partition(".")[0] in _FAMILIES:
                raise
            found.append(Field(family, part.strip().strip("`")))
    return tuple(found)


def parse_order(text: str) -> tuple[Order, ...]:
    """`metrics.auc desc, created`; newest first when it is empty.

    Raises:
        Invalid: it is not of the grammar; the message points at the place.
    """
    return _Parser(text, None).order() if text.strip() else NEWEST_FIRST


_TOKEN = re.compile(
    r"\s*(?:(?P<span>[-+]?\d+(?:\.\d+)?(?:ms|[smhdw])(?![\w.]))"
    r"|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
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
_PARTS = re.compile(r"(?:`[^`]*`|[^,`])+")
_ASPECTS: dict[str, Family] = {"last": "metrics", **{word: family for family, word in ASPECTS.items()}}
_SETS: dict[str, Family] = {name: name for name in SETS}


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


class _Parser:
    """Recursive descent, one method a level of precedence."""

    def __init__(self, text: str, now: float | None) -> None:
        if len(text) > MAX_TEXT:
            raise Invalid(f"a search of {len(text)} characters is longer than {MAX_TEXT}", code="run.bad_search")
        self._text = text
        self._now = now
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
        token = self._peek()
        field = self._field()
        if field.family in SETS:
            raise self._error(token, f"a run has several of {field}, which give no order")
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
        token = self._peek()
        operator = self._operator(token)
        if field.family in SETS and operator not in _FOR_SETS:
            raise self._error(token, f"a run has several of {field}: write e.g. not {field} = '…'")
        if operator in {"is null", "is not null"}:
            return Comparison(field, operator)
        if operator in {"in", "not in"}:
            return Comparison(field, operator, self._list(field))
        sought = self._peek()
        if operator in PATTERNS and sought.kind != "text":
            raise self._error(sought, f"'{operator}' looks for a text: write '{sought.text}'")
        if operator == "==" and _is_time(field) and (day := _day(sought.text.strip("'\""), self._now)) is not None:
            self._next += 1
            return All((Comparison(field, ">=", (day,)), Comparison(field, "<", (day + DAY,))))
        return Comparison(field, operator, (self._value(field),))

    def _operator(self, token: _Token) -> str:
        if self._take("is"):
            operator = "is not null" if self._take("not") else "is null"
            self._expect("null")
            return operator
        if self._take("not"):
            self._expect("in")
            return "not in"
        for word in ("in", "like", "ilike"):
            if self._take(word):
                return word
        operator = _SIGNS.get(token.text, token.text)
        if token.kind != "sign" or operator not in OPERATORS:
            raise self._error(token, "a comparison was expected: =, !=, <, <=, >, >=, ~, like, in, is null")
        self._next += 1
        return operator

    def _field(self) -> Field:
        token = self._peek()
        self._next += 1
        aspect: Family | None = "told" if token.text.lower() == "text" else _ASPECTS.get(token.text.lower())
        if token.kind == "name" and aspect is not None and self._take("("):
            inner = self._field()
            wanted = "params" if aspect == "told" else "metrics"
            if inner.family != wanted:
                raise self._error(self._tokens[self._next - 1], f"{token.text}() takes {wanted}.NAME")
            self._expect(")")
            return Field(aspect, inner.name)
        family, dot, name = token.text.partition(".")
        if token.kind in {"name", "field"} and dot and family in _FAMILIES and name:
            return Field(_FAMILIES[family], name.strip("`"))
        word = _SYNONYMS.get(token.text, token.text)
        if token.kind == "name" and word in WORDS:
            return Field("run", word)
        if token.kind == "name" and word in _SETS:
            return Field(_SETS[word], "")
        raise self._error(token, f"a field was expected: {_suggested(token)}")

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
        if _is_time(field) and token.kind in {"span", "name", "text"}:
            value = _moment(token.text.strip("'\""), self._now)
            if value is None:
                raise self._error(token, f"{field} is a time, such as '2026-01-31', -7d or today")
        elif token.kind == "span":
            if field.family != "run" or field.name not in NUMBERS:
                raise self._error(token, f"{field} is no time")
            value = parse_duration(token.text.lstrip("+")) if token.text[0] != "-" else None
        if value is None and token.kind == "name":
            raise self._error(token, f"a text stands in quotes: write '{token.text}'")
        if value is None:
            raise self._error(token, "a value was expected: a number, 'text', true or false")
        self._next += 1
        kind = _kind_of(field)
        if kind == "number" and isinstance(value, bool | str):
            raise self._error(token, f"{field} is a number")
        if kind == "text" and not isinstance(value, str):
            raise self._error(token, f"{field} is a text: write '{token.text}'")
        if kind == "truth" and not isinstance(value, bool):
            raise self._error(token, f"{field} is true or false")
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


def _kind_of(field: Field) -> str:
    """What a value must be to be compared with the field; params are of any kind."""
    if field.family == "params":
        return ""
    if field.family in {"told", "tags", *SETS} or (field.family == "run" and field.name in TEXTS):
        return "text"
    return "truth" if field.family == "run" and field.name in TRUTHS else "number"


def _is_time(field: Field) -> bool:
    return field.family == "run" and field.name in TIMES


def _moment(text: str, now: float | None) -> float | None:
    """Seconds since the epoch of `2026-01-31`, `2026-01-31T10:00+02:00`, `-7d`, `today`, `yesterday` or `now`."""
    if re.fullmatch(r"-\d+(?:\.\d+)?(?:ms|[smhdw])", text):
        return (time.time() if now is None else now) - parse_duration(text[1:])
    if text.lower() == "now":
        return time.time() if now is None else now
    day = _day(text, now)
    if day is not None:
        return day
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _day(text: str, now: float | None) -> float | None:
    """The beginning of a day (UTC) that is named as a whole."""
    if text.lower() in {"today", "yesterday"}:
        begin = (time.time() if now is None else now) // DAY * DAY
        return begin if text.lower() == "today" else begin - DAY
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _suggested(token: _Token) -> str:
    """What may have been meant by a name that is no field."""
    everything = f"params.NAME, metrics.NAME, tags.NAME, {', '.join((*WORDS, *_listed(SETS)))}"
    if token.kind != "name" or "." in token.text:
        return everything
    near = difflib.get_close_matches(token.text, [*WORDS, *_listed(SETS)], n=2)
    meant = [*(f"{family}.{token.text}" for family in ("metrics", "params", "tags")), *near]
    return f"did you mean {', '.join(meant[:-1])} or {meant[-1]}? Fields are {everything}"


def _listed(families: Sequence[Family]) -> list[str]:
    return [each for each in families if each != "used"]
