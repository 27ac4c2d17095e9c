"""YAML as DVC reads and writes it; an edit keeps comments, order and quotes of what it does not touch.

Needs the extra `dvc` (ruamel.yaml).
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

from charkh.core.errors import Invalid, Unavailable


def load_yaml(text: str, where: str) -> Any:
    """Plain values of a document; None for an empty one.

    Raises:
        Invalid: it is no YAML, or a key stands twice.
        Unavailable: ruamel.yaml is not installed.
    """
    return _load(_reader("safe"), text, where)


def load_for_update(text: str, where: str) -> Any:
    """The same document with its comments, to be changed and written by `dump_yaml`."""
    return _load(_reader("rt"), text, where)


def dump_yaml(document: Any) -> str:
    """A document as DVC writes it: block style, sequences not indented, no lines folded."""
    writer = _reader("rt")
    writer.default_flow_style = False
    buffer = io.StringIO()
    writer.dump(document, buffer)
    return buffer.getvalue()


def update(old: Any, new: Any) -> None:
    """Change `old`, read for update, so that it says what `new` says; what stays keeps its comments.

    Mappings are matched by key, sequences by place.
    """
    if isinstance(new, Mapping):
        _update_mapping(cast(dict[Any, Any], old), cast(Mapping[Any, Any], new))
    else:
        _update_sequence(cast(list[Any], old), cast(Sequence[Any], new))


def _update_mapping(old: dict[Any, Any], new: Mapping[Any, Any]) -> None:
    for key in [key for key in old if key not in new]:
        del old[key]
    for key, value in new.items():
        if key in old and _alike(old[key], value):
            update(old[key], value)
        elif key not in old or old[key] != value:
            old[key] = value


def _update_sequence(old: list[Any], new: Sequence[Any]) -> None:
    for place, value in enumerate(new):
        if place >= len(old):
            old.append(value)
        elif _alike(old[place], value):
            update(old[place], value)
        elif old[place] != value:
            old[place] = value
    del old[len(new) :]


def _alike(old: Any, new: Any) -> bool:
    return (isinstance(old, dict) and isinstance(new, Mapping)) or (isinstance(old, list) and isinstance(new, list))


def _load(reader: Any, text: str, where: str) -> Any:
    from ruamel.yaml.error import YAMLError

    try:
        return reader.load(text)
    except (YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise Invalid(
            f"{where} is no YAML: {problem}", code="dvc.bad_yaml", hint="Mend it, or check it out anew."
        ) from error


def _reader(kind: str) -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError as error:
        raise Unavailable(
            "DVC's files are YAML, and ruamel.yaml is not installed",
            code="extra.missing",
            hint="Install it with: pip install 'charkh[dvc]'",
        ) from error
    reader = YAML(typ=kind)
    if kind == "rt":
        reader.preserve_quotes = True
        reader.width = 4096
    return cast(Any, reader)
