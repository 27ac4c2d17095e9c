"""Values as structure and leaves: what a step gives and takes, without pickle.

A value is taken apart into a *form* (JSON: what is a list, a tuple, a dataclass, and which scalars it holds)
and *leaves* (arrays, frames, bytes, and what other codecs accept), each encoded by its codec. The bytes are
described in docs/formats/step-cache.md.
"""

import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from charkh.core.canon import Json
from charkh.core.errors import Corrupt, Invalid
from charkh.core.params import Params, from_values, values_of
from charkh.pipelines.sources import is_own_code

MAX_DEPTH = 100
_INT64 = 1 << 63
_TEXTS: dict[str, tuple[type[Any], Callable[[Any], str], Callable[[str], Any]]] = {
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "path": (type(pathlib.Path()), str, pathlib.Path),
}


class Codec(Protocol):
    """How the values of one type become files and come back.

    Determinism: equal values give equal bytes; the bytes are the value's digest.
    Safety: `decode` runs no code that the files bring; never pickle.
    Round trip: `decode(encode(value))` behaves as the value does.
    """

    @property
    def name(self) -> str:
        """Stands beside each stored value; a change of the format changes it."""
        ...

    def accepts(self, value: object) -> bool:
        """Whether this codec encodes the value."""
        ...

    def encode(self, value: Any) -> Mapping[str, bytes]:
        """The value's files by name; raises `Invalid` where it cannot."""
        ...

    def decode(self, files: Mapping[str, bytes]) -> Any:
        """The value; raises `Corrupt` where the files are none of this codec's."""
        ...


class Leaf(NamedTuple):
    """A part of a value that a codec encodes."""

    codec: Codec
    value: Any


class Apart(NamedTuple):
    """A value taken apart.

    Attributes:
        form: its structure and scalars, as JSON; `["leaf", n]` stands for the n-th leaf.
        leaves: what codecs encode.
        classes: the classes of its dataclasses, structs, named tuples and enums.
        origins: subjects that it says it was made from (an attribute `origins`), such as `dataset:id`.
    """

    form: Json
    leaves: tuple[Leaf, ...]
    classes: tuple[type[Any], ...]
    origins: tuple[str, ...]


def take_apart(value: object, codecs: Sequence[Codec]) -> Apart:
    """The form and the leaves of a value.

    Args:
        value: scalars, bytes, arrays, frames, and lists, tuples, sets, dictionaries, dataclasses, structs, named
            tuples and params of those; beyond that, what a codec accepts.
        codecs: asked in order, before anything that is built in.

    Raises:
        Invalid: there is something in it that cannot be kept.
    """
    taking = _Taking(codecs)
    form = taking.form_of(value, 0)
    return Apart(form, tuple(taking.leaves), tuple(taking.classes), tuple(taking.origins))


def put_together(form: Json, leaves: Sequence[object]) -> Any:
    """The value with this form and these leaves.

    Raises:
        Corrupt: the form is none that `take_apart` gives.
        Invalid: it names a class that the program has not loaded, or that is not the program's own.
    """
    try:
        return _Putting(leaves).value_of(form)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, Invalid):
            raise
        raise Corrupt(f"a stored value has no readable form: {error}", code="pipeline.bad_form") from error


class _Taking:
    def __init__(self, codecs: Sequence[Codec]) -> None:
        self.leaves: list[Leaf] = []
        self.classes: dict[type[Any], None] = {}
        self.origins: dict[str, None] = {}
        self._codecs = codecs

    def form_of(self, value: Any, depth: int) -> Json:
        if depth > MAX_DEPTH:
            raise _not_kept(value, f"it is nested deeper than {MAX_DEPTH}, or holds itself")
        if _is_json(value, depth):
            return ["json", value]
        self._note_origins(value)
        for codec in self._codecs:
            if codec.accepts(value):
                self.leaves.append(Leaf(codec, value))
                return ["leaf", len(self.leaves) - 1]
        scalar = _scalar_form(value)
        return scalar if scalar is not None else self._container_form(value, depth + 1)

    def _container_form(self, value: Any, depth: int) -> Json:
        kind = cast("type[Any]", type(value))
        if kind in {list, tuple}:
            return [kind.__name__, [self.form_of(item, depth) for item in value]]
        if kind in {set, frozenset}:
            items = [self.form_of(item, depth) for item in value]
            return [kind.__name__, sorted(items, key=msgspec.json.encode)]
        if kind is dict:
            pairs = cast("dict[Any, Any]", value).items()
            return ["dict", [[self.form_of(key, depth), self.form_of(item, depth)] for key, item in pairs]]
        if isinstance(value, enum.Enum):
            return ["enum", self._class(kind), value.name]
        if isinstance(value, Params):
            return ["params", self._class(kind), values_of(value)]
        fields = _fields_of(value)
        if fields is None:
            raise _not_kept(value, f"a {kind.__module__}.{kind.__qualname__} has no codec")
        # A value that does more than its class, such as reading itself late, is kept and passed on as what it says.
        kind = getattr(kind, "kept_as", kind)
        return ["object", self._class(kind), [[name, self.form_of(item, depth)] for name, item in fields.items()]]

    def _class(self, kind: type[Any]) -> str:
        self.classes.setdefault(kind)
        if "<locals>" in kind.__qualname__:
            raise _not_kept(kind, f"its class {kind.__qualname__} is defined inside a function")
        return f"{kind.__module__}:{kind.__qualname__}"

    def _note_origins(self, value: Any) -> None:
        origins = getattr(value, "origins", ()) if not isinstance(value, type) else ()
        if isinstance(origins, tuple):
            for origin in cast("tuple[Any, ...]", origins):
                if isinstance(origin, str) and ":" in origin:
                    self.origins.setdefault(origin)


class _Putting:
    def __init__(self, leaves: Sequence[object]) -> None:
        self._leaves = leaves

    def value_of(self, form: Any) -> Any:
        kind, *parts = form
        if kind == "json":
            return _copied(parts[0])
        if kind == "leaf":
            return self._leaves[parts[0]]
        if kind in {"list", "tuple", "set", "frozenset"}:
            made = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind]
            return made(self.value_of(item) for item in parts[0])
        if kind == "dict":
            return {self.value_of(key): self.value_of(item) for key, item in parts[0]}
        if kind == "float":
            return float(parts[0])
        if kind == "int":
            return int(parts[0])
        if kind == "timedelta":
            return datetime.timedelta(*parts[0])
        if kind in _TEXTS:
            return _TEXTS[kind][2](parts[0])
        cls = _class_named(parts[0])
        if kind == "enum" and issubclass(cls, enum.Enum):
            return cls[parts[1]]
        if kind == "params" and issubclass(cls, Params):
            return from_values(cls, parts[1])
        if kind == "object":
            return _made(cls, {name: self.value_of(item) for name, item in parts[1]})
        raise ValueError(f"unknown kind {kind!r}")


def _is_json(value: Any, depth: int) -> bool:
    """Whether JSON alone says the value, and gives exactly it back."""
    kind = cast("type[Any]", type(value))
    if kind is int:
        return -_INT64 <= value < _INT64
    if kind is float:
        return math.isfinite(value)
    if kind is str:
        return _is_text(value)
    if value is None or kind is bool:
        return True
    if depth > MAX_DEPTH:
        return False
    if kind is list:
        return all(_is_json(item, depth + 1) for item in value)
    if kind is dict:
        pairs = cast("dict[Any, Any]", value).items()
        return all(type(key) is str and _is_text(key) and _is_json(item, depth + 1) for key, item in pairs)
    return False


def _is_text(value: str) -> bool:
    # A lone surrogate is no Unicode text; everything ASCII is, and to ask that is cheaper than to encode.
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _scalar_form(value: Any) -> Json:
    kind = cast("type[Any]", type(value))
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        # A NumPy scalar comes back as Python's: what a step gives does not depend on whether it was cached.
        plain = value.item()
        if not isinstance(plain, numpy.generic):
            return ["json", plain] if _is_json(plain, 0) else _scalar_form(plain)
    if kind is float:
        return ["float", repr(value)]
    if kind is int:
        return ["int", str(value)]
    if kind is datetime.timedelta:
        return ["timedelta", [value.days, value.seconds, value.microseconds]]
    for name, (cls, encode, _decode) in _TEXTS.items():
        if kind is cls:
            return [name, encode(value)]
    return None


def _fields_of(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass, struct or named tuple; None for anything else."""
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: getattr(value, field.name) for field in dataclasses.fields(value) if hasattr(value, field.name)
        }
    names = getattr(cast(object, type(value)), "_fields", None)
    if isinstance(value, tuple) and isinstance(names, tuple):
        return dict(zip(cast("tuple[str, ...]", names), cast("tuple[Any, ...]", value), strict=True))
    return None


def _made(cls: type[Any], fields: Mapping[str, Any]) -> Any:
    if issubclass(cls, msgspec.Struct):
        return cls(**fields)
    if issubclass(cls, tuple):
        return cast(Any, cls)(**fields)
    if not dataclasses.is_dataclass(cls):
        raise ValueError(f"{cls.__name__} is no dataclass")
    # Its fields as they were, without running `__init__` again: it may take other arguments.
    value = object.__new__(cls)
    for name, item in fields.items():
        object.__setattr__(value, name, item)
    return value


def _class_named(path: str) -> type[Any]:
    """The class, if the program has loaded it and it is the program's own or charkh's: nothing is imported."""
    module, _, qualname = path.partition(":")
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    if not isinstance(found, type) or not (is_own_code(module) or module.partition(".")[0] == "charkh"):
        raise Invalid(
            f"a stored value is a {path}, which this program has not loaded",
            code="pipeline.unknown_class",
            hint="It was stored by other code; the step is executed again.",
        )
    return found


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def _not_kept(value: object, why: str) -> Invalid:
    kind = value if isinstance(value, type) else type(value)
    return Invalid(
        f"a value of type {kind.__name__} cannot be kept: {why}",
        code="pipeline.not_kept",
        hint="Return numbers, text, arrays, Polars frames or dataclasses of those; or mark the step "
        "@step(cache=False); or write a codec for it (charkh.pipelines.values.Codec).",
        facts={"type": kind.__name__},
    )
