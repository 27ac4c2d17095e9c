"""Personal data in columns: found by pattern, and by check digits where the kind has them; never shown, only masked."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import polars as pl

from charkh.checks.trouble.checksums import gstin, luhn, mod97, national_code, verhoeff
from charkh.checks.trouble.trouble import Trouble, places, trouble

EXAMPLES = 3


class Recogniser(NamedTuple):
    """One kind of personal data.

    Attributes:
        name: of the kind.
        pattern: of Rust's regex, as Polars looks for it.
        holds: whether a match without separators is one; always, where the kind has no check digits.
        certain: a match inside a longer text counts; else it must be the whole value, of half of the column's values.
    """

    name: str
    pattern: str
    holds: Callable[[str], bool]
    certain: bool = True


def _always(_text: str) -> bool:
    return True


def _public_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_loopback)


def _card(text: str) -> bool:
    return 13 <= len(text) <= 19 and luhn(text)


def _iban(text: str) -> bool:
    return 15 <= len(text) <= 34 and mod97(text)


def _social_security(text: str) -> bool:
    """What the United States never gave out is none (SSA: areas 000, 666 and 9xx, group 00, serial 0000)."""
    area, group, serial = text[:3], text[3:5], text[5:]
    return area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"


def _telephone(text: str) -> bool:
    return 8 <= len(re.sub(r"\D", "", text)) <= 15


RECOGNISERS = (
    Recogniser("e-mail address", r"[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24}\b", _always),
    Recogniser("payment card", r"\b[3-6]\d{3}(?:[ \-]?\d{4}){2}[ \-]?\d{1,7}\b", _card),
    Recogniser("IBAN", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _iban),
    Recogniser(
        "IP address",
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}\b",
        _public_address,
        certain=False,
    ),
    Recogniser("Aadhaar number", r"\b[2-9]\d{3}[ \-]?\d{4}[ \-]?\d{4}\b", verhoeff, certain=False),
    Recogniser("GSTIN", r"\b\d{2}[A-Z]{5}\d{4}[A-Z][0-9A-Z]Z[0-9A-Z]\b", gstin),
    Recogniser("PAN", r"\b[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]\b", _always, certain=False),
    Recogniser("US social security number", r"\b\d{3}-\d{2}-\d{4}\b", _social_security, certain=False),
    Recogniser("Iranian national code", r"\b\d{3}-?\d{6}-?\d\b", national_code, certain=False),
    Recogniser(
        "telephone number", r"(?:\+|\b00)[1-9]\d{0,2}[ \-./]?(?:\(?\d{1,4}\)?[ \-./]?){2,5}\d{2,4}\b", _telephone
    ),
)
"""Every kind that is looked for, the more certain ones first."""


def personal(frame: pl.DataFrame) -> Iterator[Trouble]:
    """Columns with personal data, one trouble for each kind; the rows are those that hold it.

    Distinct values are looked at, once each; what is of one kind is not looked at again for a later one. A kind that
    many other numbers fulfil by chance is only told where at least half of the column's values are of it.
    """
    for name, dtype in frame.schema.items():
        if dtype != pl.String and not dtype.is_integer():
            continue
        values = frame[name].cast(pl.String)
        distinct = values.drop_nulls().unique(maintain_order=True)
        rest = {value: value for value in distinct.to_list()}
        for kind in RECOGNISERS:
            found = _of_kind(rest, kind)
            if not found or (not kind.certain and 2 * len(found) < distinct.len()):
                continue
            rest.update(found)
            rows = places(values.is_in(list(found)))
            message = f"{name!r} holds {_article(kind.name)} in {len(rows)} rows"
            examples = [mask(value) for value in list(found)[:EXAMPLES]]
            yield trouble("personal", (name,), rows, frame.height, message, examples=examples)


def mask(text: str) -> str:
    """A text of which only the shape is left: letters as a, capitals as A, digits as 9, at most 40 characters."""
    shown = re.sub(r"\d", "9", re.sub(r"[A-Z]", "A", re.sub(r"[^\W\dA-Z_]", "a", text)))
    return shown if len(shown) <= 40 else f"{shown[:39]}…"


def _of_kind(rest: Mapping[str, str], kind: Recogniser) -> dict[str, str]:
    """The values that hold one of the kind, with what is left of each without it."""
    texts = pl.DataFrame(
        {"value": list(rest), "text": list(rest.values())}, schema={"value": pl.String, "text": pl.String}
    )
    matched = texts.filter(pl.col("text").str.contains(kind.pattern))
    pieces: list[list[str]] = matched["text"].str.extract_all(kind.pattern).to_list()
    found: dict[str, str] = {}
    for (value, text), some in zip(matched.iter_rows(), pieces, strict=True):
        held = [piece for piece in some if kind.holds(_plain(piece, kind))]
        if held and (kind.certain or held[0] == text.strip()):
            for piece in held:
                text = text.replace(piece, " ")
            found[value] = text
    return found


def _plain(text: str, kind: Recogniser) -> str:
    if kind.name in {"e-mail address", "IP address", "telephone number"}:
        return text
    # Digits of every script count: int() reads them all.
    latin = "".join(str(int(character)) if character.isdecimal() else character for character in text)
    return re.sub(r"[ \-]", "", latin)


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}"
