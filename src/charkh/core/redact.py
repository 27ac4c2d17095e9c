"""Credentials out of text before it is recorded: they never enter the store.

Code, configuration and command lines pass through here, and a patch must stay replayable: what code
refers to by name stays, what is written out as a literal or given to a program does not. Every pattern
is anchored on a fixed word and bounded, so that the time is linear in the text.
"""

import re
from collections.abc import Mapping, Sequence
from typing import cast

REDACTED = "[redacted]"

_KEY = (
    r"(?i:password|passwd|passphrase|secret|token|api[_\-]?key|access[_\-]?key|account[_\-]?key|private[_\-]?key"
    r"|credentials?)(?:[_\-]?(?i:id|key|value))?"
)
"""How the name of a credential ends; `tokenizer` and `max_tokens` do not."""

_VOCABULARY = re.compile(
    r"(?i)(?:^|[_\-\W])(?:pad|eos|bos|unk|mask|sep|cls|eot|stop|start|end|special|image|next|per|n|num|max|min)[_\-]$"
)
"""What stands before `token` where it is a word of a language model and no credential."""

_ARMOUR = r"[A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b([a-z][a-z0-9+.\-]{0,20}://)[^\s/@:\"']{0,256}:[^\s/\"']{1,1024}@"), rf"\1{REDACTED}@"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.\-]{0,20}://)[^\s/@:\"'{}$]{20,1024}@"), rf"\1{REDACTED}@"),
    (re.compile(r"\b((?:AKIA|ASIA)[0-9A-Z]{16})\b"), REDACTED),
    (re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})\b"), REDACTED),
    (re.compile(r"\b(sk-[A-Za-z0-9_\-]{20,}|xox[abprs]-[A-Za-z0-9\-]{10,}|hf_[A-Za-z0-9]{20,})\b"), REDACTED),
    (re.compile(r"\b(glpat-[A-Za-z0-9_\-]{20,}|ck_[0-9a-f]{8,}_[A-Za-z0-9_\-]{20,})"), REDACTED),
    (re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}"), REDACTED),
    (
        re.compile(rf"-----BEGIN {_ARMOUR}-----.*?(?:-----END {_ARMOUR}-----|\Z)", re.S),
        REDACTED,
    ),
    (
        re.compile(r"(?i)\b(authorization[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?:basic|bearer|token)\s{1,8})[^\s\"']+"),
        rf"\1{REDACTED}",
    ),
)
_ANNOTATION = r"(?:\s{0,8}:\s{0,8}[\w.\[\]|]{1,60})?"
_LITERAL = r"(\"[^\"\n]{4,4096}\"|'[^'\n]{4,4096}')"
_QUOTED = re.compile(rf"({_KEY})([\"']?\]?{_ANNOTATION}\s{{0,40}}[:=]\s{{0,40}}[rbu]{{0,2}}){_LITERAL}")
_FLAG = re.compile(rf"(--[\w\-]{{0,40}}?)({_KEY})(=|\s{{1,8}})(?:{_LITERAL}|([^\s\"'\-$<{{]\S{{3,}}))")
_BARE = re.compile(rf"({_KEY})([\"']?\]?)(=|\s{{1,40}}=\s{{1,40}}|:\s{{0,8}})([^\s\"'`]+)")
_SECRET_NAME = re.compile(rf"[\w\-.]*{_KEY}")

_NUMBER = re.compile(r"[-+]?[\d_.]+(?:[eE][-+]?\d+)?")
_REFERENCE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_CALL = re.compile(rf"{_REFERENCE.pattern}[(\[]")
_WORD_OF_CODE = re.compile(rf"(?:[A-Z][a-z]+)+|str|bytes|string|object|undefined|\w*{_KEY}\w*")
_CLOSING = re.compile(r"[,;&)\]}].*")
_SHORTEST_WORD = 6
_SHORTEST_LITERAL = 4


def redact(text: str) -> str:
    """`text` with everything that looks like a credential replaced by `[redacted]`."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    text = _QUOTED.sub(_without_literal, text)
    text = _FLAG.sub(_without_argument, text)
    return _BARE.sub(_without_bare_value, text)


def is_secret_name(name: str) -> bool:
    """Whether a parameter or variable of this name would hold a credential."""
    match = _SECRET_NAME.fullmatch(name)
    return match is not None and not _is_vocabulary(name)


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


def _is_vocabulary(name: str) -> bool:
    before, word, _ = name.lower().rpartition("token")
    return bool(word and _VOCABULARY.search(before[-20:]))


def _named_as_vocabulary(match: re.Match[str], name: int = 1) -> bool:
    start = match.start(name)
    return _is_vocabulary(match.string[max(0, start - 20) : start] + match[name])


def _without_literal(match: re.Match[str]) -> str:
    literal = match[3][1:-1]
    if _named_as_vocabulary(match) or literal == REDACTED or literal[0] in "${%<":
        return match[0]
    return f"{match[1]}{match[2]}'{REDACTED}'"


def _without_argument(match: re.Match[str]) -> str:
    if _named_as_vocabulary(match, 2) or (match[5] and _WORD_OF_CODE.fullmatch(match[5])):
        return match[0]
    return f"{match[1]}{match[2]}{match[3]}{REDACTED}"


def _without_bare_value(match: re.Match[str]) -> str:
    name, closed, sign, value = match.groups()
    if _named_as_vocabulary(match) or value.startswith((REDACTED, "=", "$", "<", "{", "%", "(", "[")):
        return match[0]
    if name.isupper() and sign == "=" and len(value) >= _SHORTEST_LITERAL and not _CALL.match(value):
        return f"{name}{closed}{sign}{REDACTED}"
    rest = _CLOSING.search(value)
    core = value[: rest.start()] if rest else value
    behind = match.string[match.end() : match.end() + 40]
    follows = behind[:1] if sign == "=" else behind.partition("\n")[0]
    ends = not rest and not follows.strip()
    if not _is_written_out(name, sign, core, ends=ends):
        return match[0]
    tail = rest[0] if rest and rest[0][0] in "&)]}" else ""
    return f"{name}{closed}{sign}{REDACTED}{tail}"


def _is_written_out(name: str, sign: str, value: str, *, ends: bool) -> bool:
    """Whether a bare value is the credential itself, and not code that refers to one.

    Args:
        name: what it is called.
        sign: what stands between name and value.
        value: the value without what closes it.
        ends: nothing of the same argument, or of the same line, follows.
    """
    if len(value) < _SHORTEST_LITERAL or _CALL.match(value):
        return False
    if _NUMBER.fullmatch(value):
        return "token" not in name.lower() and len(value) >= _SHORTEST_WORD
    if not _REFERENCE.fullmatch(value):
        return ends or sign in {"=", ":"}
    if len(value) < _SHORTEST_WORD or _WORD_OF_CODE.fullmatch(value):
        return False
    has_digit = any(character.isdigit() for character in value)
    if "." in value or sign.startswith(" "):
        return has_digit and ends
    return has_digit or ends
