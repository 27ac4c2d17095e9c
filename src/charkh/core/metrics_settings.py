"""What `charkh.toml` says about Prometheus: who may scrape, and what counts as good service. Pure data, no I/O."""

import math

import msgspec

from charkh.core.errors import Invalid
from charkh.core.quantities import parse_duration

LATENCY_BOUNDS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Seconds: upper bounds of the latency histograms, from what a linear model takes to what a client waits for."""


class MetricsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[metrics]`: who may read `/metrics`, and the service level that rules and dashboards hold endpoints to.

    Attributes:
        open: `/metrics` asks for no token; on this machine only.
        targets: further servers to scrape, `host:port`, for service discovery.
        availability: share of the requests that must not fail on the server's side.
        latency: within which a request must be answered, such as `100ms`; one of the histogram's bounds.
        latency_ratio: share of the requests that must be.
        owner: who is told, as a label of every alert.
        runbook: address of the pages that say what to do; the alert's name is put behind it.
    """

    open: bool = False
    targets: tuple[str, ...] = ()
    availability: float = 0.999
    latency: str = "100ms"
    latency_ratio: float = 0.99
    owner: str = ""
    runbook: str = ""


def check_metrics(settings: MetricsSettings, source: str) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: a share is none, or the histogram has no bound at the latency: whether it is kept could not be said.
    """
    for name, share in (("availability", settings.availability), ("latency_ratio", settings.latency_ratio)):
        if not 0.0 < share < 1.0:
            raise Invalid(
                f"{source}: [metrics] {name} is {share}", code="config.invalid", hint="It is a share between 0 and 1."
            )
    if latency_of(settings) not in LATENCY_BOUNDS:
        bounds = ", ".join(f"{each * 1000:g}ms" for each in LATENCY_BOUNDS)
        raise Invalid(
            f"{source}: [metrics] latency is {settings.latency}, where the histogram has no bound",
            code="config.invalid",
            hint=f"It is one of: {bounds}.",
        )


def latency_of(settings: MetricsSettings) -> float:
    """Seconds within which a request must be answered; exactly a bound of the histogram where it is as good as one.

    Raises:
        Invalid: it cannot be read.
    """
    seconds = parse_duration(settings.latency)
    return next((bound for bound in LATENCY_BOUNDS if math.isclose(bound, seconds)), seconds)
