"""What `charkh.toml` says about traces: where spans of requests go, and of which requests. Pure data, no I/O."""

import msgspec

from charkh.core.errors import Invalid


class TracingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tracing]`: where spans of inference requests go, by OTLP over HTTP; nowhere by default.

    Attributes:
        url: that takes them, such as `https://collector.example.com/v1/traces`; its host stands in `[egress]`, too.
        sample: share of the requests whose caller says nothing about tracing; of the others the caller decides.
        service: `service.name` of the spans.
        headers_env: variable with headers to send along, as `name=value,name=value`.
    """

    url: str = ""
    sample: float = 0.01
    service: str = "charkh"
    headers_env: str = ""


def check_tracing(settings: TracingSettings, source: str) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: the share is none.
    """
    if not 0.0 <= settings.sample <= 1.0:
        raise Invalid(
            f"{source}: [tracing] sample is {settings.sample}",
            code="config.invalid",
            hint="It is a share from 0 to 1.",
        )
