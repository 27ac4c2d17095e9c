"""Where the truth of a monitor comes from, as `charkh.toml` says it: `flight_truth on flight_id within 45d`."""

import re

import msgspec

from charkh.core.errors import Invalid
from charkh.core.quantities import parse_duration

_TRUTH = re.compile(r"(?P<dataset>\S.*?)\s+on\s+(?P<keys>[^,\s]+(?:\s*,\s*[^,\s]+)*)(?:\s+within\s+(?P<within>\S+))?")

_POSTED = re.compile(r"posted(?:\s+within\s+(?P<within>\S+))?")
PREDICTION = "prediction_id"


class TruthSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where truths are.

    Attributes:
        dataset: reference, such as `flight_truth`; empty for what was sent to the endpoint.
        keys: columns by which predictions and truth are joined.
        within: seconds after a prediction in which its truth is waited for; 0 without a bound.
    """

    dataset: str
    keys: tuple[str, ...]
    within: float = 0.0


def parse_truth(text: str) -> TruthSource:
    """`DATASET on KEY[, KEY…] [within 45d]`, or `posted [within 45d]`.

    Raises:
        Invalid: it is not of that form.
    """
    posted = _POSTED.fullmatch(text.strip())
    if posted is not None:
        within = parse_duration(posted["within"]) if posted["within"] else 0.0
        return TruthSource(dataset="", keys=(PREDICTION,), within=within)
    match = _TRUTH.fullmatch(text.strip())
    if match is None:
        raise Invalid(
            f"cannot read the truth {text!r}",
            code="monitor.truth",
            hint="Write e.g. 'flight_truth on flight_id within 45d'; several keys are separated by commas.",
        )
    return TruthSource(
        dataset=match["dataset"],
        keys=tuple(re.split(r"\s*,\s*", match["keys"])),
        within=parse_duration(match["within"]) if match["within"] else 0.0,
    )
