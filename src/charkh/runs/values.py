"""Params and tags as they may stand in an event: plain, named by dots, bounded, without credentials."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec

from charkh.core.errors import Invalid
from charkh.core.redact import REDACTED, is_secret_name, redact, redact_value
from charkh.runs.run import from_json_text, json_text

MAX_KEY = 250
MAX_VALUE = 1000
"""Characters of a param's JSON that stand in the event; longer values are bytes in the vault."""

MAX_TAG = 1000
MAX_DEPTH = 50
_KEY = re.compile("[^\x00-\x1f\x7f`\ud800-\udfff]+")


class PlainParams(NamedTuple):
    """Params by dotted name: values for the event, and the JSON of those too long for it."""

    values: dict[str, Any]
    large: dict[str, bytes]


def plain_params(params: Mapping[str, Any]) -> PlainParams:
    """Nested params by dotted names, as JSON values, without credentials.

    Raises:
        Invalid: a name cannot be kept, or a value has no JSON form.
    """
    values: dict[str, Any] = {}
    large: dict[str, bytes] = {}
    for name, value in _flat(params, "", 0):
        kept = redact_value(value, name.rpartition(".")[2])
        text = json_text(kept).encode("utf-8", "replace").decode()
        sound = from_json_text(text)
        if len(text) > MAX_VALUE or _has_giant(sound):
            large[name] = text.encode()
        else:
            values[name] = sound
    return PlainParams(values, large)


def plain_tags(tags: Mapping[str, str | None]) -> dict[str, str | None]:
    """Tags that may stand in an event.

    Raises:
        Invalid: a name cannot be kept, or a value is no text or too long.
    """
    return {checked_key(name, "tag"): _tag(name, value) for name, value in tags.items()}


class PlainTags(NamedTuple):
    """Tags for an event: of a long text its beginning, and the whole of the long ones."""

    values: dict[str, str | None]
    large: dict[str, bytes]


def long_tags(tags: Mapping[str, str | None]) -> PlainTags:
    """Tags of any length, without credentials.

    Raises:
        Invalid: a name cannot be kept.
    """
    values: dict[str, str | None] = {}
    large: dict[str, bytes] = {}
    for name, value in tags.items():
        checked_key(name, "tag")
        clean = None if value is None else _clean_tag(name, value)
        values[name] = clean if clean is None else clean[:MAX_TAG]
        if clean is not None and len(clean) > MAX_TAG:
            large[name] = clean.encode()
    return PlainTags(values, large)


def checked_key(name: object, what: str) -> str:
    """A name of a param, tag or metric.

    Raises:
        Invalid: empty, longer than 250 characters, with control characters or backquotes, or a credential.
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_KEY or not _KEY.fullmatch(name) or redact(name) != name:
        shown = redact(str(name))[:80]
        raise Invalid(
            f"{shown!r} cannot be the name of a {what}",
            code="run.bad_name",
            hint=f"Use 1 to {MAX_KEY} characters without control characters and backquotes.",
        )
    return name


def _flat(params: Mapping[Any, Any], before: str, depth: int) -> list[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise Invalid(f"params are nested more than {MAX_DEPTH} deep", code="run.bad_param", hint="Flatten them.")
    found: list[tuple[str, Any]] = []
    for name, value in params.items():
        key = checked_key(f"{before}{name}", "param")
        plain = _plain(key, value)
        nested = cast(dict[Any, Any], plain) if isinstance(plain, dict) else dict[Any, Any]()
        if nested and not is_secret_name(str(name)):
            found += _flat(nested, f"{key}.", depth + 1)
        else:
            found.append((key, cast(object, plain)))
    return found


def _plain(key: str, value: Any) -> Any:
    try:
        return msgspec.to_builtins(value, enc_hook=_builtin, str_keys=True)
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise Invalid(
            f"the param {key!r} is a {type(value).__name__}, which has no JSON form: {error}",
            code="run.bad_param",
            hint="Use numbers, text, booleans, None, lists and dictionaries.",
        ) from error


def _has_giant(value: Any) -> bool:
    """Whether it holds an integer that a fact cannot: more than 64 bits."""
    try:
        msgspec.msgpack.encode(value)
    except OverflowError:
        return True
    return False


def _builtin(value: Any) -> Any:
    """NumPy's and Torch's scalars and arrays, paths and ranges, without importing any of them."""
    listed = getattr(value, "tolist", None)
    if callable(listed):
        return listed()
    if hasattr(value, "__fspath__"):
        return str(value)
    if isinstance(value, range):
        return list(value)
    if isinstance(value, Mapping):
        return dict(cast(Mapping[Any, Any], value))
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _tag(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        value = str(value)
    clean = _clean_tag(name, value)
    if len(clean) > MAX_TAG:
        raise Invalid(
            f"the tag {name!r} has {len(clean)} characters, more than {MAX_TAG}",
            code="run.text_too_long",
            hint="Add long texts as an artifact.",
        )
    return clean


def _clean_tag(name: str, value: str) -> str:
    return REDACTED if is_secret_name(name) else redact(value).encode("utf-8", "replace").decode()
