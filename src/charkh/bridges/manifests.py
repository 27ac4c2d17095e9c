"""Kubernetes manifests as they are read here: YAML, taken apart so that no field is passed over in silence.

A field is honoured, or ignored with a warning because only a cluster has a use for it, or refused by its name; what is
left at the end was never heard of, and is refused as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from charkh.core.errors import Invalid, Unavailable

Choice = TypeVar("Choice", bound=str)


class Manifest(NamedTuple):
    """One document.

    Attributes:
        api_version: such as `serving.kserve.io/v1beta1`.
        kind: such as `InferenceService`.
        name: `metadata.name`.
        annotations: `metadata.annotations`.
        spec: what it asks for, not looked at yet.
        where: the file and the document's place in it, for a person.
    """

    api_version: str
    kind: str
    name: str
    annotations: Mapping[str, str]
    spec: Mapping[str, Any]
    where: str


class Notes:
    """What is told about a manifest that is run nevertheless, in the order in which it was met."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """Say something once."""
        if line not in self._lines:
            self._lines.append(line)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)


class Fields:
    """A mapping of a manifest, taken apart field by field; `end` refuses what nobody asked for.

    Args:
        value: the mapping.
        path: where it stands, such as `fraud.yaml: spec.predictors[0]`.
        notes: takes the warnings.

    Raises:
        Invalid: it is no mapping with texts as keys.
    """

    def __init__(self, value: object, path: str, notes: Notes) -> None:
        self.path = path
        self._notes = notes
        self._left = dict(_mapping(value, path))

    def __contains__(self, name: str) -> bool:
        return self._left.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """A text; numbers are refused, because YAML reads `1.10` as 1.1."""
        return self._typed(name, str, "a text", default)

    def peek(self, name: str) -> str:
        """A text that stays to be asked for; empty where it is none."""
        found = self._left.get(name)
        return found if isinstance(found, str) else ""

    def scalar(self, name: str) -> str | int | float | bool:
        """A text, a number or a truth value; empty where it is not there."""
        found = self._take(name)
        if found is None:
            return ""
        if not isinstance(found, str | int | float | bool):
            raise bad_manifest(f"{self.path}.{name} is no single value")
        return found

    def required(self, name: str) -> str:
        """A text that must be there and say something.

        Raises:
            Invalid: it is not.
        """
        found = self.text(name)
        if not found:
            raise bad_manifest(f"{self.path}.{name} is missing")
        return found

    def choice(self, name: str, among: Sequence[Choice], default: Choice) -> Choice:
        """One of several words."""
        found = self.text(name, default)
        for each in among:
            if found == each:
                return each
        raise bad_manifest(f"{self.path}.{name} is {found!r}", f"It is one of: {', '.join(among)}.")

    def whole(self, name: str, default: int = 0) -> int:
        """A whole number."""
        return self._typed(name, int, "a whole number", default)

    def number(self, name: str, default: float = 0.0) -> float:
        """A number."""
        found = self._take(name)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise bad_manifest(f"{self.path}.{name} is {found!r}, and a number is expected")
        return float(found)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        return self._typed(name, bool, "true or false", default)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self._sequence(name)
        for place, each in enumerate(found):
            if not isinstance(each, str):
                raise bad_manifest(f"{self.path}.{name}[{place}] is {each!r}, and a text is expected")
        return tuple(cast(Sequence[str], found))

    def wholes(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        found = self._sequence(name)
        for place, each in enumerate(found):
            if not isinstance(each, int) or isinstance(each, bool):
                raise bad_manifest(f"{self.path}.{name}[{place}] is {each!r}, and a whole number is expected")
        return tuple(cast(Sequence[int], found))

    def within(self, name: str) -> "Fields":
        """The mapping below a field; an empty one where it is not there."""
        return Fields(self._take(name) or {}, f"{self.path}.{name}", self._notes)

    def each(self, name: str) -> "list[Fields]":
        """The mappings of a list."""
        found = self._sequence(name)
        return [Fields(each, f"{self.path}.{name}[{place}]", self._notes) for place, each in enumerate(found)]

    def free(self, name: str) -> dict[str, Any]:
        """A mapping whose keys are the user's own, such as labels."""
        return dict(_mapping(self._take(name) or {}, f"{self.path}.{name}"))

    def cluster_only(self, *names: str) -> None:
        """Fields that only a cluster has a use for: ignored, and said."""
        for name in names:
            if self._take(name) is not None:
                self._notes.add(f"{self.path}.{name} has a meaning in a cluster only and is ignored here")

    def refuse(self, name: str, why: str) -> None:
        """A field that is understood and cannot be honoured.

        Raises:
            Invalid: it is there.
        """
        if self._take(name) is not None:
            raise bad_manifest(f"{self.path}.{name} cannot be honoured: {why}", "Take it out, or run it on a cluster.")

    def end(self) -> None:
        """Nothing may be left.

        Raises:
            Invalid: a field is there that nobody asked for.
        """
        left = [name for name, value in self._left.items() if value is not None]
        if left:
            raise bad_manifest(
                f"{self.path} has a field that is not known: {left[0]}", "Is it spelled as the kind has it?"
            )

    def _take(self, name: str) -> object:
        return self._left.pop(name, None)

    def _typed(self, name: str, kind: type[Any], said: str, default: Any) -> Any:
        found = self._take(name)
        if found is None:
            return default
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise bad_manifest(f"{self.path}.{name} is {found!r}, and {said} is expected")
        return found

    def _sequence(self, name: str) -> list[object]:
        found = self._take(name)
        if found is None:
            return []
        if not isinstance(found, list):
            raise bad_manifest(f"{self.path}.{name} is no list")
        return cast(list[object], found)


def read_manifests(text: str, where: str) -> tuple[Manifest, ...]:
    """The documents of a YAML file, in order; empty ones are passed over.

    Args:
        text: of the file.
        where: its name, for a person.

    Raises:
        Invalid: it is no YAML, or a document is no manifest.
        Unavailable: the extra `manifests` is not installed.
    """
    documents = [each for each in _documents(text, where) if each is not None]
    if not documents:
        raise bad_manifest(f"{where} holds no manifest")
    return tuple(_manifest(each, _place(where, number, len(documents))) for number, each in enumerate(documents))


def write_manifests(documents: Sequence[Mapping[str, Any]]) -> str:
    """Documents as the text of one YAML file, keys in the order given, texts of several lines as they are read.

    Raises:
        Unavailable: the extra `manifests` is not installed.
    """
    import io

    writer = _yaml()
    writer.Representer = _representer()
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False
    buffer = io.StringIO()
    writer.dump_all(list(documents), buffer)
    return buffer.getvalue()


def bad_manifest(message: str, hint: str = "") -> Invalid:
    """The one refusal of a manifest: what and where, and what to do."""
    return Invalid(message, code="manifest.invalid", hint=hint or "Mend the manifest and run the command again.")


def _documents(text: str, where: str) -> list[object]:
    from ruamel.yaml.error import YAMLError

    try:
        return list(_yaml().load_all(text))
    except (YAMLError, ValueError) as error:
        raise bad_manifest(f"{where} is no YAML: {' '.join(str(error).split())}") from error


def _manifest(document: object, where: str) -> Manifest:
    whole = _mapping(document, where)
    metadata = _mapping(whole.get("metadata") or {}, f"{where}: metadata")
    annotations = _mapping(metadata.get("annotations") or {}, f"{where}: metadata.annotations")
    kind, version, name = whole.get("kind"), whole.get("apiVersion"), metadata.get("name")
    for field, value in (("kind", kind), ("apiVersion", version), ("metadata.name", name)):
        if not isinstance(value, str) or not value:
            raise bad_manifest(f"{where}: {field} is missing")
    return Manifest(
        api_version=str(version),
        kind=str(kind),
        name=str(name),
        annotations={key: str(value) for key, value in annotations.items()},
        spec=_mapping(whole.get("spec") or {}, f"{where}: spec"),
        where=where,
    )


def _mapping(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise bad_manifest(f"{path} is no mapping")
    found = cast(Mapping[object, Any], value)
    for key in found:
        if not isinstance(key, str):
            raise bad_manifest(f"{path} has the key {key!r}, which is no text")
    return cast(Mapping[str, Any], value)


def _place(where: str, number: int, count: int) -> str:
    return where if count == 1 else f"{where} (document {number + 1})"


def _representer() -> Any:
    from ruamel.yaml.representer import SafeRepresenter

    class Lines(SafeRepresenter):
        """Writes a text of several lines as a block, so that people can read and change it."""

        def text(self, value: str) -> Any:
            return self.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Lines.add_representer(str, Lines.text)
    return Lines


def _yaml() -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError as error:
        raise Unavailable(
            "manifests are YAML, and ruamel.yaml is not installed",
            code="extra.missing",
            hint="Install it with: pip install 'charkh[manifests]'",
        ) from error
    return YAML(typ="safe", pure=True)
