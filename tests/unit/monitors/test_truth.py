"""The truth as `charkh.toml` says it."""

import pytest

from charkh.core.errors import Invalid
from charkh.monitors.truth import TruthSource, parse_truth


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("truth on id", TruthSource(dataset="truth", keys=("id",))),
        (
            " flight_truth on flight_id within 45d ",
            TruthSource(dataset="flight_truth", keys=("flight_id",), within=45 * 86400.0),
        ),
        ("eu/truth@3 on day , id within 12h", TruthSource(dataset="eu/truth@3", keys=("day", "id"), within=43200.0)),
        ("on call on id", TruthSource(dataset="on call", keys=("id",))),
    ],
)
def test_it_is_read(text: str, source: TruthSource) -> None:
    assert parse_truth(text) == source


@pytest.mark.parametrize(
    "text", ["", "truth", "truth on", "on id", "truth on id within", "truth on id within soon", "truth on id,"]
)
def test_what_is_not_of_the_form_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_truth(text)
