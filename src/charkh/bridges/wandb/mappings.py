"""`config` and `summary`: what scripts read and write by item, by attribute, or all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, cast

from charkh.core.errors import Conflict

Change = Callable[[Mapping[str, Any]], None]


class Attributes(MutableMapping[str, Any]):
    """Values by item and by attribute alike; how one is set is the kind's own.

    Args:
        what: it is called in errors.
        record: told what is set.
    """

    def __init__(self, what: str, record: Change) -> None:
        self.__dict__["_what"] = what
        self.__dict__["_record"] = record
        self.__dict__["_values"] = {}

    def __getitem__(self, key: str) -> Any:
        return self._known()[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._known()[name]
        except KeyError:
            raise AttributeError(f"{self.__dict__['_what']} has no {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __repr__(self) -> str:
        return repr(self._known())

    def _known(self) -> dict[str, Any]:
        return cast(dict[str, Any], self.__dict__["_values"])


class Config(Attributes):
    """The params of a run; what is set is recorded at once.

    A key that has a value takes another one only where that is allowed (`update(…, allow_val_change=True)`). The run
    keeps both then, and shows the first beside the conflict.

    Args:
        record: told what is new.
    """

    def __init__(self, record: Change) -> None:
        super().__init__("config", record)

    def update(self, *given: Any, allow_val_change: bool | None = None, **named: Any) -> None:
        """Set several at once: a mapping, or the namespace of an argument parser.

        Raises:
            Conflict: a key has another value, and that may not change.
        """
        values: dict[str, Any] = {}
        for each in given:
            values.update(_plain(each))
        self._set({**values, **named}, allow=bool(allow_val_change))

    def setdefaults(self, given: Mapping[str, Any]) -> None:
        """Set those that have no value yet."""
        self._set({key: value for key, value in given.items() if key not in self}, allow=False)

    def as_dict(self) -> dict[str, Any]:
        """A copy."""
        return dict(self._known())

    def __setitem__(self, key: str, value: Any) -> None:
        self._set({key: value}, allow=False)

    def __delitem__(self, key: str) -> None:
        raise Conflict(f"the param {key!r} is recorded and cannot be taken back", code="wandb.config_kept")

    def _set(self, values: Mapping[str, Any], *, allow: bool) -> None:
        known = self._known()
        changed = {key: value for key, value in values.items() if key not in known or known[key] != value}
        for key, value in changed.items():
            if key in known and not allow:
                raise Conflict(
                    f"config[{key!r}] is {known[key]!r} and was set to {value!r}",
                    code="wandb.config_kept",
                    hint="Say config.update(…, allow_val_change=True): both values are kept then.",
                )
        if changed:
            self.__dict__["_record"](changed)
            known.update(changed)


class Summary(Attributes):
    """What a run came to: the last value of every metric, and what the script sets itself.

    Args:
        record: told what the script sets.
    """

    def __init__(self, record: Change) -> None:
        super().__init__("summary", record)

    def note(self, values: Mapping[str, Any]) -> None:
        """What was logged: the last value of each key; nothing is recorded again."""
        self._known().update(values)

    def update(self, *given: Any, **named: Any) -> None:
        """Set several at once."""
        values: dict[str, Any] = {}
        for each in given:
            values.update(_plain(each))
        values.update(named)
        if values:
            self.__dict__["_record"](values)
            self._known().update(values)

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        del self._known()[key]


def _plain(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return {str(key): value for key, value in cast(Mapping[Any, Any], given).items()}
    named: dict[str, Any] = vars(cast(object, given))
    return dict(named)
