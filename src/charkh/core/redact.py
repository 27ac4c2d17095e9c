"""Credentials out of text before it is recorded: they never enter the store."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

REDACTED = "[redacted]"

_NAME = (
    r"(?i:(?:[\w\-]*[_\-])?(?:password|passwd|secret|token|api[_\-]?key|access[_\-]?key|private[_\-]?key|credentials?)"
    r"(?:[_\-](?:id|key|value))?)"
)
"""How a credential is called; `tokenizer` and `max_tokens` are not."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b([a-z][a-z0-9+.\-]*://)[^\s/@:]*:[^\s/@]+@"), rf"\1{REDACTED}@"),
    (re.compile(r"\b((?:AKIA|ASIA)[0-9A-Z]{16})\b"), REDACTED),
    (re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})\b"), REDACTED),
    (re.compile(r"\b(sk-[A-Za-z0-9_\-]{20,}|xox[abprs]-[A-Za-z0-9\-]{10,}|hf_[A-Za-z0-9]{20,})\b"), REDACTED),
    (re.compile(r"\b(glpat-[A-Za-z0-9_\-]{20,}|ck_[0-9a-f]{8,}_[A-Za-z0-9_\-]{20,})\b"), REDACTED),
    (re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}"), REDACTED),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.S), REDACTED),
    (re.compile(r"(?i)\b(authorization\s*[:=]\s*(?:basic|bearer)\s+)[^\s\"']+"), rf"\1{REDACTED}"),
    (re.compile(rf"({_NAME}[\"']?\s*[:=]\s*)(\"[^\"\n]{{4,}}\"|'[^'\n]{{4,}}')"), rf"\1'{REDACTED}'"),
    (re.compile(rf"({_NAME}(?:=|:\s?))([^\s,;&\"'()\[\]{{}}.]{{6,}})(?![\w(.\[])"), rf"\1{REDACTED}"),
    (re.compile(rf"(--{_NAME}\s+)([^\s\"'-][^\s\"']*)"), rf"\1{REDACTED}"),
)

_SECRET_NAME = re.compile(rf"{_NAME}")


def redact(text: str) -> str:
    """`text` with everything that looks like a credential replaced by `[redacted]`."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a parameter or variable of this name would hold a credential."""
    return bool(_SECRET_NAME.fullmatch(name))


def redact_value(value: object, name: str = "") -> object:
    """A JSON value with credentials replaced, by the name they stand under or by their form."""
    if name and is_secret_name(name) and isinstance(value, str):
        return REDACTED
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        pairs = cast(Mapping[object, object], value).items()
        return {str(key): redact_value(item, str(key)) for key, item in pairs}
    if isinstance(value, list | tuple):
        return [redact_value(item, name) for item in cast(Sequence[object], value)]
    return value
