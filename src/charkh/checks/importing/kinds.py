"""Other tools' names of types, as the kinds that a `column` rule knows."""

import re

_KINDS = (
    ("boolean", r"bool|boolean"),
    ("integer", r"u?int(8|16|32|64)?|integer|bigint|smallint|tinyint|long|integertype|longtype|shorttype"),
    ("number", r"float(16|32|64)?|double|decimal|numeric|real|number|doubletype|floattype|decimaltype"),
    ("datetime", r"datetime(64)?|timestamp|timestamptype|timestamp_ntz|timestamp without time zone"),
    ("date", r"date(32)?|datetype"),
    ("text", r"str|string|text|varchar|char|object|utf8|stringtype|category|categorical"),
)


def kind_of_name(name: str) -> str:
    """The kind of a type's name, `int64`, `StringType` or `datetime64[ns, UTC]`; empty for one that has none here."""
    plain = re.sub(r"\[.*\]|\(.*\)", "", name).strip().lower().rpartition(".")[2]
    return next((kind for kind, pattern in _KINDS if re.fullmatch(pattern, plain)), "")
