"""A kind of event that was published keeps its shape for ever, so that every later charkh reads it.

`bodies-1.json` holds the shape of every body. A new kind, and a new field with a default, are added to it by

    .venv/bin/python tests/compat/test_bodies.py

and nothing that stands in it may change. What needs another shape is another number behind the slash.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from charkh.workspace.bodies import BODIES
from charkh.workspace.projections import PROJECTIONS

GOLDEN = Path(__file__).parent / "bodies-1.json"
PROSE = {"title", "description"}
Shape = Mapping[str, Any]


def bare(schema: Any) -> Any:
    """A JSON schema without what is only for people."""
    if isinstance(schema, dict):
        items = cast("dict[str, Any]", schema).items()
        return {key: bare(value) for key, value in items if not (key in PROSE and isinstance(value, str))}
    return [bare(value) for value in cast("list[Any]", schema)] if isinstance(schema, list) else schema


def shapes() -> dict[str, Shape]:
    """By kind, the shape of its body."""
    return {
        kind: json.loads(msgspec.json.encode(bare(msgspec.json.schema(body)))) for kind, body in sorted(BODIES.items())
    }


def changes(old: Any, new: Any, where: str) -> Iterator[str]:
    """What is in `new` that a reader or writer of `old` does not expect."""
    if isinstance(old, dict) and isinstance(new, dict):
        old, new = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for key in sorted(old.keys() | new.keys()):
            at = f"{where}.{key}"
            if key not in new:
                yield f"{at} is gone"
            elif key not in old:
                # New fields of a map, and new structs that they use; that they have defaults is seen under `required`.
                if key != "$defs" and where.rpartition(".")[2] not in {"properties", "$defs"}:
                    yield f"{at} is new"
            elif key == "prefixItems":
                yield from changes(old[key], new[key][: len(old[key])], at)
            else:
                yield from changes(old[key], new[key], at)
    elif old != new:
        yield f"{where} was {old!r} and is {new!r}"


def golden() -> dict[str, Shape]:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", sorted(golden()))
def test_a_published_kind_keeps_its_shape(kind: str) -> None:
    assert list(changes(golden()[kind], shapes()[kind], kind)) == []


def test_every_kind_is_written_down() -> None:
    assert shapes() == golden(), "add the new kind or field: .venv/bin/python tests/compat/test_bodies.py"


def test_every_kind_that_is_folded_has_a_body() -> None:
    folded = {kind for projection in PROJECTIONS if projection.kinds for kind in projection.kinds}
    # The lineage of all nouns reads this one, for its edges alone.
    assert folded == BODIES.keys() - {"dataset.made_again/1"}


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_no_body_refuses_a_field_from_the_future(kind: str) -> None:
    assert "additionalProperties" not in {
        key for shape in (shapes()[kind], *shapes()[kind].get("$defs", {}).values()) for key in shape
    }


CHANGES: list[tuple[Shape, bool]] = [
    ({"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}, True),
    ({"properties": {"a": {"type": "number"}}, "required": ["a"]}, False),
    ({"properties": {"a": {"type": "integer"}}, "required": []}, False),
    ({"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a", "b"]}, False),
    ({"properties": {}, "required": ["a"]}, False),
]


@pytest.mark.parametrize(("new", "allowed"), CHANGES)
def test_what_counts_as_a_change(new: Shape, allowed: bool) -> None:
    old = {"properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert (list(changes(old, new, "kind")) == []) is allowed


if __name__ == "__main__":
    reshaped = [line for kind, old in golden().items() for line in changes(old, shapes().get(kind, {}), kind)]
    if reshaped:
        sys.exit("\n".join(reshaped))
    GOLDEN.write_text(json.dumps(shapes(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
