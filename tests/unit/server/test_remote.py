"""Commands and queries over the wire: every one that a projection declares travels, and nothing else does."""

from typing import Any

import msgspec
import pytest

from charkh.ports.projections import Describe, Position
from charkh.ports.remote_calls import answer_type
from charkh.workspace.projections import PROJECTIONS
from charkh.workspace.wire_names import APART, command_types, query_types, wire_name

DECLARED = [
    (each.name, kind) for each in PROJECTIONS if each.name not in APART for kind in (*each.answers, *each.decisions)
]


def test_names_mean_one_thing() -> None:
    names = [f"{noun}.{kind.__name__}" for noun, kind in DECLARED]
    assert len(names) == len(set(names))
    assert {*query_types(), *command_types()} == {*names, Describe.__name__, Position.__name__}
    assert [wire_name(kind) for _, kind in DECLARED] == names


@pytest.mark.parametrize("kind", [kind for _, kind in DECLARED], ids=lambda kind: kind.__name__)
def test_it_can_be_read_from_the_wire(kind: type[msgspec.Struct]) -> None:
    assert msgspec.msgpack.Decoder(kind) is not None


@pytest.mark.parametrize("kind", query_types().values(), ids=lambda kind: kind.__name__)
def test_its_answer_can_be_read_from_the_wire(kind: Any) -> None:
    found = answer_type(kind)
    assert found is not Any
    assert msgspec.msgpack.Decoder(found) is not None


def test_users_and_webhooks_are_apart() -> None:
    assert {each.name for each in PROJECTIONS} & APART
    closed = {kind for each in PROJECTIONS if each.name in APART for kind in (*each.answers, *each.decisions)}
    assert closed.isdisjoint({*query_types().values(), *command_types().values()})
