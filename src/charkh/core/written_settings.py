"""Settings as `charkh.toml` would say them: what differs from the defaults, at every depth. Pure, no I/O."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec


def written(settings: msgspec.Struct) -> dict[str, Any]:
    """The members that are not as they are by default, as TOML has them; what is read again from it is equal."""
    kind = settings.__struct_config__
    said: dict[str, Any] = {str(kind.tag_field): kind.tag} if kind.tag_field else {}
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if value != default:
            said[field.encode_name] = _value(value)
    return said


def _value(value: Any) -> Any:
    match value:
        case msgspec.Struct():
            return written(value)
        case dict():
            members = cast(dict[str, Any], value)
            return {name: _value(each) for name, each in members.items()}
        case tuple() | list():
            items = cast(Sequence[Any], value)
            return [_value(each) for each in items]
        case _:
            return value
