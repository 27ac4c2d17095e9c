"""What `charkh.toml` says about endpoints: models, requests, and how they are answered. Pure data, no I/O."""

import msgspec

from charkh.core.errors import Invalid


class EndpointSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[endpoint.NAME]`: which model is served, and what share of requests is logged.

    Attributes:
        model: the model, such as `delay@champion`.
        recipes: recipes that prepare a request, in order.
        example: a dataset whose rows look like a request; needed with recipes, else the model's signature says it.
        capture: share of the requests whose inputs and outputs are logged, from 0 to 1.
    """

    model: str
    recipes: tuple[str, ...] = ()
    example: str = ""
    capture: float = 1.0


def check_endpoint(name: str, settings: EndpointSettings, source: str) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: the share is none.
    """
    if not 0.0 <= settings.capture <= 1.0:
        raise Invalid(
            f"{source}: [endpoint.{name}] capture is {settings.capture}",
            code="config.invalid",
            hint="It is a share from 0 to 1.",
        )
