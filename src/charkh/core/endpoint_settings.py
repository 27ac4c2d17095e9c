"""What `charkh.toml` says about endpoints: models, requests, and how they are answered. Pure data, no I/O."""

from typing import Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.graph_settings import Graph, check_graph
from charkh.core.mask_settings import parse_mask
from charkh.core.quantities import parse_duration
from charkh.core.rollout_settings import RolloutSettings, check_rollout


class EndpointSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[endpoint.NAME]`: which model is served, and what share of requests is logged.

    Attributes:
        model: the model, such as `delay@champion`; empty where a graph names several.
        recipes: recipes that prepare a request, in order.
        example: a dataset whose rows look like a request; needed with recipes, else the model's signature says it.
        capture: share of the requests whose inputs and outputs are logged, from 0 to 1; failed ones are always.
        mask: by input or output, what is logged of it: `drop`, `hash` or `truncate:3`.
        key: input by whose values truth is told, such as an order's number; without, by prediction id alone.
        keep: how long logged predictions and posted truths are kept, such as `90d`; empty for ever.
        graph: several models behind the endpoint, and how they answer together.
        rollout: how a candidate is let in beside the model.
        pinned: the model stays in memory, whatever `[serving] memory` says.
        compiled: `auto` serves a model's compiled form where it answers alike, `never` and `require` decide it.
    """

    model: str = ""
    recipes: tuple[str, ...] = ()
    example: str = ""
    capture: float = 1.0
    mask: dict[str, str] = {}
    key: str = ""
    keep: str = ""
    graph: Graph = Graph()
    rollout: RolloutSettings = RolloutSettings()
    pinned: bool = False
    compiled: Literal["auto", "never", "require"] = "auto"


def check_endpoint(name: str, settings: EndpointSettings, source: str) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: the share is none, there is nothing to serve, or the graph or the rollout cannot be run.
    """
    where = f"{source}: [endpoint.{name}"
    if bool(settings.model) == bool(settings.graph):
        raise Invalid(
            f"{where}] has {'a model and a graph' if settings.model else 'no model'}",
            code="config.invalid",
            hint='Write model = "NAME@ALIAS", or a graph with a root.',
        )
    check_graph(settings.graph, f"{where}.graph]")
    check_rollout(settings.rollout, f"{where}.rollout]")
    masks = {column: parse_mask(mask) for column, mask in settings.mask.items()}
    if settings.key in masks and masks[settings.key].way != "hash":
        raise Invalid(
            f"{where}] masks its key {settings.key!r} so that no truth finds it",
            code="config.invalid",
            hint='Mask it with "hash": the keys of the truth are hashed alike.',
        )
    if settings.keep:
        parse_duration(settings.keep)
    if not 0.0 <= settings.capture <= 1.0:
        raise Invalid(
            f"{source}: [endpoint.{name}] capture is {settings.capture}",
            code="config.invalid",
            hint="It is a share from 0 to 1.",
        )
