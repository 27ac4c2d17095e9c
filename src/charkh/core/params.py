"""Params: what a pipeline or a step can be told, typed, immutable and searchable.

    class Params(charkh.Params):
        rate: float = charkh.search(0.1, low=1e-3, high=0.3, log=True)
        leaves: int = 31

One class gives the defaults, the validation, the flags (`-p rate=0.05`), the values in a cache key and the
search space of a study. Pure data; nothing is read or written here.
"""

import copy
import difflib
import inspect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar, cast, dataclass_transform, get_origin, get_type_hints

import msgspec

from charkh.core.canon import Json, canonical_json
from charkh.core.dimensions import Dimension, Scalar, check_dimension, wrong_param
from charkh.core.errors import Invalid

P = TypeVar("P", bound="Params")

_MISSING = object()
_WORDS = {"yes": True, "on": True, "no": False, "off": False}


class Field(NamedTuple):
    """One field of a `Params` class.

    Attributes:
        name: of the attribute.
        annotation: its type.
        default: the value where none is given; `required` when there is none.
        dimension: what a search may choose, or None.
    """

    name: str
    annotation: Any
    default: Any
    dimension: Dimension | None

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is _MISSING

    @property
    def nested(self) -> "type[Params] | None":
        """The `Params` class that the field holds, if it holds one."""
        return self.annotation if isinstance(self.annotation, type) and issubclass(self.annotation, Params) else None


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Params:
    """Base of params: annotate fields, give defaults, and make instances by keyword.

    Fields hold JSON-like values: booleans, numbers, text, None, enums, dates, lists and dictionaries of those, or
    other `Params`. A value is converted to its field's type where nothing is lost (`1` to `1.0`) and refused
    otherwise. Instances do not change and compare by value. Names that begin with an underscore are no fields.

    Raises:
        Invalid: an unknown field (the nearest is named), a missing or a wrong value.
    """

    __dimensions: ClassVar[dict[str, Dimension]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dimensions = dict(cls.__dimensions)
        for name in inspect.get_annotations(cls):
            value = cls.__dict__.get(name)
            dimensions.pop(name, None)
            if isinstance(value, Dimension):
                dimensions[name] = value
                setattr(cls, name, value.default)
        cls.__dimensions = dimensions

    def __init__(self, **values: Any) -> None:
        cls = type(self)
        for name, value in _checked(cls, values).items():
            self.__dict__[name] = value

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"params do not change; make others: {type(self).__name__}({name}={value!r})")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"params do not change: {name} stays")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), canonical_json(values_of(self))))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    @classmethod
    def __charkh_fields__(cls) -> dict[str, Field]:
        known = cls.__dict__.get("_charkh_fields")
        if known is None:
            known = _read_fields(cls, cls.__dimensions)
            type.__setattr__(cls, "_charkh_fields", known)
        return known


def fields_of(params: Params | type[Params]) -> dict[str, Field]:
    """The fields by name, in the order of their definition."""
    return params.__charkh_fields__()


def values_of(params: Params) -> dict[str, Json]:
    """The values as JSON, nested params as dictionaries: what a key and an event hold."""
    values = dict[str, Json]()
    for name, value in params.__dict__.items():
        values[name] = values_of(value) if isinstance(value, Params) else cast(Json, msgspec.to_builtins(value))
    return values


def from_values(cls: type[P], values: Mapping[str, Any]) -> P:
    """Params from JSON values; the inverse of `values_of`.

    Raises:
        Invalid: an unknown field, a missing or a wrong value.
    """
    return cls(**values)


def with_values(params: P | type[P], values: Mapping[str, Any]) -> P:
    """Params with some values replaced.

    Args:
        params: where the others come from; a class stands for its defaults.
        values: by dotted name, such as `{"train.rate": 0.05}`.

    Raises:
        Invalid: an unknown field (the nearest is named), a missing or a wrong value.
    """
    cls = cast(type[P], params if isinstance(params, type) else type(params))
    fields = fields_of(cls)
    whole, inner = dict[str, Any](), dict[str, dict[str, Any]]()
    for path, value in values.items():
        name, dot, rest = path.partition(".")
        field = fields.get(name)
        if field is None or (dot and field.nested is None):
            raise _unknown(cls, path)
        if dot:
            inner.setdefault(name, {})[rest] = value
        else:
            whole[name] = value
    given = {} if isinstance(params, type) else dict(params.__dict__)
    given |= whole
    for name, changes in inner.items():
        nested = fields[name].nested
        assert nested is not None
        base = given.get(name, nested if fields[name].required else fields[name].default)
        given[name] = with_values(_converted(fields[name], base, name, cls) if base is not nested else nested, changes)
    return cls(**given)


def override(params: P | type[P], texts: Iterable[str]) -> P:
    """Params with values as flags give them: `rate=0.05`, `train.rate=1e-3`, `columns=["a","b"]`, `cap=null`.

    Args:
        params: where the others come from; a class stands for its defaults.
        texts: `name=value`, the value read by the type of its field; lists and dictionaries as JSON.

    Raises:
        Invalid: no `=`, an unknown field (the nearest is named), or a value that its type cannot take.
    """
    cls = params if isinstance(params, type) else type(params)
    values = dict[str, Any]()
    for text in texts:
        path, sign, value = text.partition("=")
        path = path.strip()
        if not sign or not path:
            raise wrong_param(f"{text!r} is not name=value", "Write -p rate=0.05.")
        values[path] = _read_text(_field_at(cls, path), path, value.strip())
    return with_values(params, values)


def space_of(params: Params | type[Params]) -> dict[str, Dimension]:
    """What a search may vary, by dotted name; the defaults are those of `params`.

    Raises:
        Invalid: a range of a field that is no number, or choices that its type cannot take.
    """
    return dict(_dimensions(params, ""))


def _dimensions(params: Params | type[Params], prefix: str) -> Iterator[tuple[str, Dimension]]:
    for name, field in fields_of(params).items():
        path = prefix + name
        value = field.default if isinstance(params, type) else params.__dict__[name]
        if field.nested is not None:
            yield from _dimensions(field.nested if value is _MISSING else value, f"{path}.")
        elif field.dimension is not None:
            default = cast(Scalar, msgspec.to_builtins(value))
            dimension = msgspec.structs.replace(field.dimension, default=default)
            check_dimension(dimension, path)
            yield path, dimension


def _read_fields(cls: type[Params], dimensions: Mapping[str, Dimension]) -> dict[str, Field]:
    try:
        hints = get_type_hints(cls)
    except NameError as error:
        raise wrong_param(
            f"the annotations of {cls.__name__} cannot be read: {error}",
            "Import the types that they name in the module that defines it.",
        ) from error
    fields = dict[str, Field]()
    for name, annotation in hints.items():
        if get_origin(annotation) is ClassVar or annotation is ClassVar or name.startswith("_"):
            continue
        bare = Field(name, annotation, _MISSING, dimensions.get(name))
        given = getattr(cls, name, _MISSING)
        default = _MISSING if given is _MISSING else _converted(bare, given, name, cls)
        fields[name] = bare._replace(default=default, dimension=_typed(cls, bare))
    return fields


def _typed(cls: type[Params], field: Field) -> Dimension | None:
    """The field's dimension with bounds of the field's own type."""
    dimension = field.dimension
    if dimension is None:
        return None
    numbers = {name: getattr(dimension, name) for name in ("low", "high", "step")}
    bounds = {
        name: _converted(field, number, f"{field.name} ({name})", cls)
        for name, number in numbers.items()
        if number is not None
    }
    listed = tuple(
        cast(Scalar, msgspec.to_builtins(_converted(field, each, f"{field.name} (choice)", cls)))
        for each in dimension.choices
    )
    default = cast(Scalar, msgspec.to_builtins(_converted(field, dimension.default, field.name, cls)))
    return msgspec.structs.replace(dimension, default=default, choices=listed, **bounds)


def _checked(cls: type[Params], values: Mapping[str, Any]) -> dict[str, Any]:
    fields = fields_of(cls)
    for name in values:
        if name not in fields:
            raise _unknown(cls, name)
    checked = dict[str, Any]()
    for name, field in fields.items():
        if name in values:
            checked[name] = _converted(field, values[name], name, cls)
        elif field.required:
            raise wrong_param(f"{cls.__name__} needs a value for {name!r}", f"Give it: {cls.__name__}({name}=…).")
        else:
            checked[name] = copy.deepcopy(field.default)
    return checked


def _converted(field: Field, value: Any, path: str, cls: type[Params]) -> Any:
    if field.nested is not None:
        if isinstance(value, field.nested):
            return value
        if isinstance(value, Mapping):
            return from_values(field.nested, cast(Mapping[str, Any], value))
        raise wrong_param(
            f"{cls.__name__}.{path} is a {field.nested.__name__}, not {value!r}", "Pass one, or a dictionary."
        )
    try:
        plain = msgspec.to_builtins(value)
        _refuse_unsayable(plain)
        return msgspec.convert(plain, field.annotation)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise wrong_param(
            f"{cls.__name__}.{path} cannot be {value!r}: {str(error).partition(' - at ')[0]}",
            "Give a value of its type.",
            field=path,
        ) from error


def _refuse_unsayable(value: object) -> None:
    """NaN and infinities are no params: JSON cannot say them, and NaN equals nothing, itself included."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number that can be recorded")
    if isinstance(value, Mapping):
        value = list(cast(Mapping[object, object], value).values())
    if isinstance(value, list | tuple):
        for item in cast(Sequence[object], value):
            _refuse_unsayable(item)


def _field_at(cls: type[Params], path: str) -> Field:
    field, here = None, cls
    for name in path.split("."):
        field = fields_of(here).get(name) if here is not None else None
        if field is None:
            raise _unknown(cls, path)
        here = field.nested
    assert field is not None
    return field


def _read_text(field: Field, path: str, text: str) -> Any:
    attempts = (
        lambda: msgspec.convert(_WORDS[text.lower()], field.annotation),
        lambda: msgspec.convert(None, field.annotation) if text == "null" else msgspec.convert(text, field.annotation),
        lambda: msgspec.convert(text, field.annotation, strict=False),
        lambda: msgspec.convert(msgspec.json.decode(text), field.annotation),
    )
    if field.nested is None:
        for attempt in attempts:
            try:
                return attempt()
            except (msgspec.MsgspecError, TypeError, KeyError):
                continue
    kind = getattr(field.annotation, "__name__", str(field.annotation))
    raise wrong_param(
        f"{path} is of type {kind} and cannot be {text!r}", f"Write {path}=VALUE of that type.", field=path
    )


def _unknown(cls: type[Params], path: str) -> Invalid:
    known = list(_paths(cls, ""))
    nearest = difflib.get_close_matches(path, known, n=1, cutoff=0.5)
    hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Known fields are: {', '.join(known) or 'none'}."
    return Invalid(f"{cls.__name__} has no field {path!r}", code="params.unknown", hint=hint, facts={"field": path})


def _paths(cls: type[Params], prefix: str) -> Iterator[str]:
    for name, field in fields_of(cls).items():
        if field.nested is None:
            yield prefix + name
        else:
            yield from _paths(field.nested, f"{prefix}{name}.")
