"""The clauses of an MLflow filter: `entity.key operator value AND …`, as text that is not judged yet.

There is no OR, NOT or parenthesis around clauses in this grammar. What keys there are and what they may be compared
with is the searcher's to say.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from charkh.bridges.mlflow.envelope import invalid

MAX_FILTER = 65_536
MAX_CLAUSES = 200
MAX_LIKE = 5_000_000

Value = str | float | tuple[str, ...]


class Clause(NamedTuple):
    """One comparison.

    Attributes:
        entity: what stands before the first dot, or empty.
        key: without its quotes.
        operator: upper case, one blank between words.
        value: a text, a number, or the texts of a list.
    """

    entity: str
    key: str
    operator: str
    value: Value


class _Token(NamedTuple):
    kind: str
    text: str


_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    |(?P<text>'(?:[^']|'')*')
    |(?P<operator><=|>=|!=|<>|=|<|>)
    |(?P<open>\()|(?P<close>\))|(?P<comma>,)
    |(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<word>(?:[\w\-]+(?:\.|/|:)?|`[^`]*`|"[^"]*"|\.)+)""",
    re.VERBOSE,
)
_WORDS = {"LIKE", "ILIKE", "IN"}
NULLS = ("IS NULL", "IS NOT NULL")


def parse_clauses(text: str, operators: Sequence[str] = ()) -> tuple[Clause, ...]:
    """The clauses of a filter, in their order; `operators` are words that this filter has besides the usual ones.

    Raises:
        MlflowError: it does not follow the grammar, or is too long.
    """
    if len(text) > MAX_FILTER:
        raise invalid(f"The filter has more than {MAX_FILTER} characters.")
    tokens = _tokens(text)
    clauses: list[Clause] = []
    place = 0
    while place < len(tokens):
        if clauses:
            if not _is_word(tokens[place], "AND"):
                raise invalid(f"Invalid clause(s) in filter string: {tokens[place].text}")
            place += 1
        clause, place = _clause(text, tokens, place, {*_WORDS, *operators})
        clauses.append(clause)
        if len(clauses) > MAX_CLAUSES:
            raise invalid(f"The filter has more than {MAX_CLAUSES} clauses.")
    return tuple(clauses)


def matches(clause: Clause, held: str | float | None) -> bool:
    """Whether what a thing holds meets the clause; what it does not hold meets none."""
    if clause.operator in NULLS:
        return (held is None) == (clause.operator == "IS NULL")
    if held is None:
        return False
    return COMPARE[clause.operator](held, clause.value)


def check_operator(clause: Clause, allowed: Iterable[str], message: str) -> None:
    """Raise `message` unless the clause's operator is one of these."""
    if clause.operator not in allowed:
        raise invalid(message)


def parse_order(text: str) -> tuple[str, bool]:
    """The field of an `order_by` entry, and whether it rises.

    Raises:
        MlflowError: it is no field and direction.
    """
    words = _tokens(text) if len(text) <= MAX_FILTER else []
    if not 1 <= len(words) <= 2 or words[0].kind != "word":
        raise invalid(f"Invalid order_by clause '{text}'. Could not be parsed.")
    direction = words[1].text.lower() if len(words) == 2 else "asc"
    if direction not in {"asc", "desc"}:
        raise invalid(f"Invalid ordering key in order_by clause '{text}'.")
    return words[0].text, direction == "asc"


def _clause(text: str, tokens: Sequence[_Token], place: int, words: Collection[str]) -> tuple[Clause, int]:
    rest = list(tokens[place : place + 3])
    if len(rest) < 3 or rest[0].kind != "word":
        raise invalid(f"Invalid clause(s) in filter string: {' '.join(token.text for token in rest) or text}")
    entity, key = _identifier(rest[0].text)
    operator, place = _operator(tokens, place + 1, words)
    value: Value = ""
    if operator in {"IN", "NOT IN"}:
        value, place = _list(tokens, place)
    elif operator in NULLS:
        pass
    else:
        if place >= len(tokens):
            raise invalid(f"Invalid clause(s) in filter string: {text}")
        value, place = _value(tokens[place], entity or "attributes"), place + 1
    return Clause(entity, key, operator, value), place


def _identifier(text: str) -> tuple[str, str]:
    entity, dot, key = text.partition(".") if text[:1] not in '`"' else ("", "", text)
    if not dot:
        entity, key = "", text
    if len(key) >= 2 and key[0] == key[-1] and key[0] in '`"':
        key = key[1:-1]
    if not key:
        raise invalid(f"Invalid identifier '{text}'. Columns should be specified as 'attribute.<key>' or 'tag.<key>'.")
    return entity, key


def _operator(tokens: Sequence[_Token], place: int, words: Collection[str]) -> tuple[str, int]:
    token = tokens[place]
    if token.kind == "operator":
        return ("!=" if token.text == "<>" else token.text), place + 1
    word = token.text.upper()
    if word == "NOT" and place + 1 < len(tokens) and _is_word(tokens[place + 1], "IN"):
        return "NOT IN", place + 2
    if word == "IS":
        rest = [each.text.upper() for each in tokens[place + 1 : place + 3]]
        if rest[:1] == ["NULL"]:
            return "IS NULL", place + 2
        if rest == ["NOT", "NULL"]:
            return "IS NOT NULL", place + 3
    if token.kind != "word" or word not in words:
        raise invalid(f"Invalid clause(s) in filter string: {token.text}")
    return word, place + 1


def _value(token: _Token, what: str) -> Value:
    if token.kind == "text":
        return token.text[1:-1].replace("''", "'")
    if token.kind == "number":
        return float(token.text)
    if token.kind == "word" and len(token.text) >= 2 and token.text[0] == token.text[-1] == '"':
        return token.text[1:-1]
    raise invalid(f"Expected a quoted string value for {what} (e.g. 'my-value'). Got value {token.text}")


def _list(tokens: Sequence[_Token], place: int) -> tuple[tuple[str, ...], int]:
    ill = invalid(
        "While parsing a list in the query, expected a non-empty list of string values, but got ill-formed list."
    )
    if place >= len(tokens) or tokens[place].kind != "open":
        raise ill
    place += 1
    values: list[str] = []
    while place < len(tokens) and tokens[place].kind != "close":
        if values:
            if tokens[place].kind != "comma":
                raise ill
            place += 1
            if place < len(tokens) and tokens[place].kind == "close":
                break
        if place >= len(tokens):
            raise ill
        value = _value(tokens[place], "lists")
        if not isinstance(value, str):
            raise invalid(
                "While parsing a list in the query, expected string value, punctuation, or whitespace, but got "
                f"different type in list: {tokens[place].text}"
            )
        values.append(value)
        place += 1
    if place >= len(tokens):
        raise ill
    if not values:
        raise invalid(
            "While parsing a list in the query, expected a non-empty list of string values, but got empty list"
        )
    return tuple(values), place + 1


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or not match.group():
            raise invalid(f"Invalid filter '{text}'. Could not be parsed.")
        if match.lastgroup != "blank":
            found.append(_Token(str(match.lastgroup), match.group()))
        place = match.end()
    return found


def _is_word(token: _Token, word: str) -> bool:
    return token.kind == "word" and token.text.upper() == word


def _like(held: object, pattern: object) -> bool:
    return like_match(str(held), str(pattern))


def _ilike(held: object, pattern: object) -> bool:
    return like_match(str(held).casefold(), str(pattern).casefold())


def like_match(text: str, pattern: str) -> bool:
    """Whether a text is like a pattern of SQL: `%` stands for any text, `_` for one character.

    No backtracking: a piece between two `%` is taken where it is found first.

    Raises:
        MlflowError: text and pattern together would take too long.
    """
    first, *rest = pattern.split("%")
    if "_" in pattern and len(text) * len(pattern) > MAX_LIKE:
        raise invalid("The pattern is too long for the texts that it is compared with.")
    if not rest:
        return len(text) == len(pattern) and _at(text, pattern, 0)
    last = rest.pop()
    if len(text) < len(first) + len(last) or not _at(text, first, 0) or not _at(text, last, len(text) - len(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in rest:
        place = _found(text, piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return True


def _at(text: str, piece: str, place: int) -> bool:
    if "_" not in piece:
        return text.startswith(piece, place)
    return all(mine in ("_", other) for mine, other in zip(piece, text[place : place + len(piece)], strict=False))


def _found(text: str, piece: str, start: int, end: int) -> int:
    if "_" not in piece:
        return text.find(piece, start, end)
    return next((place for place in range(start, end - len(piece) + 1) if _at(text, piece, place)), -1)


def _less(held: object, value: object) -> bool:
    return isinstance(held, int | float) and isinstance(value, int | float) and held < value


def _greater(held: object, value: object) -> bool:
    return isinstance(held, int | float) and isinstance(value, int | float) and held > value


def _equal(held: object, value: object) -> bool:
    return held == value


COMPARE: Mapping[str, Callable[[object, object], bool]] = {
    "=": _equal,
    "!=": lambda held, value: not _equal(held, value),
    "<": _less,
    ">": _greater,
    "<=": lambda held, value: _less(held, value) or _equal(held, value),
    ">=": lambda held, value: _greater(held, value) or _equal(held, value),
    "LIKE": _like,
    "ILIKE": _ilike,
    "IN": lambda held, value: isinstance(value, tuple) and held in value,
    "NOT IN": lambda held, value: isinstance(value, tuple) and held not in value,
}
