"""Settings are written without their defaults, and mean the same when they are read again."""

import msgspec
import pytest

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.graph_settings import Case, CombinerNode, Graph, ModelNode, RouterNode
from charkh.core.rollout_settings import RolloutSettings
from charkh.core.written_settings import written

GRAPH = Graph(
    root="by",
    node={
        "by": RouterNode(cases=(Case(when="x > 1", to="both"),), default="one"),
        "both": CombinerNode(of=("one", "two"), how="mean"),
        "one": ModelNode(model="one@1"),
        "two": ModelNode(model="two@1", inputs={"a": "b"}),
    },
)


@pytest.mark.parametrize(
    "settings",
    [
        EndpointSettings(model="delay@1"),
        EndpointSettings(graph=GRAPH, capture=0.5, mask={"name": "drop"}),
        EndpointSettings(model="a@1", rollout=RolloutSettings(way="ab", candidates={"b": "b@1"}, rollback=())),
    ],
)
def test_what_is_written_is_read_as_it_was(settings: EndpointSettings) -> None:
    assert msgspec.convert(written(settings), EndpointSettings) == settings


def test_defaults_are_left_out() -> None:
    assert written(EndpointSettings(model="delay@1")) == {"model": "delay@1"}
    assert written(GRAPH)["node"]["both"] == {"kind": "combiner", "of": ["one", "two"]}
