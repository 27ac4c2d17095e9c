"""The page that is scraped, read back by the parsers of prometheus-client."""

import gzip
import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from charkh.core.errors import Unavailable
from charkh.core.metrics_settings import LATENCY_BOUNDS
from charkh.endpoints.exposition import OPENMETRICS, PLAIN, exposition, media_type
from charkh.endpoints.instruments import Instruments
from charkh.endpoints.metrics_page import MetricsPage
from charkh.ports.meters import Exemplar, Family, Sample
from charkh.stores.meters_file import FileMeters

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(TEXTS, TEXTS, st.floats(width=64))
def test_any_text_and_number_comes_back(label: str, help: str, value: float) -> None:
    families = [
        Family("held", "gauge", help, [Sample("", {"model": label}, value)]),
        Family("asked", "counter", help, [Sample("_total", {"model": label}, 7.0)]),
    ]
    for media, parse in ((PLAIN, parse_plain), (OPENMETRICS, parse_openmetrics)):
        found = {each.name: each for each in parse(exposition(families, media))}
        sample = found["held"].samples[0]
        assert sample.labels == {"model": label}
        assert sample.value == value or (math.isnan(sample.value) and math.isnan(value))
        assert found["asked"].samples[0].name == "asked_total"


def test_what_a_server_counts_is_readable_in_both_forms() -> None:
    meters = FileMeters()
    instruments = Instruments(meters)
    model = instruments.of("delay", "3")
    model.loaded(size=1000, seconds=0.25, info={"framework": "sklearn"})
    model.answered(200, 0.0003, 5, 0.0001, "p-1", "a" * 32)
    model.answered(500, 2.0)
    model.invalid("tensor.shape")
    instruments.refused("busy")
    text = exposition(meters.read(), OPENMETRICS)
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample
        for family in parse_openmetrics(text)
        for sample in family.samples
    }
    labels = (("model", "delay"), ("version", "3"))
    assert samples[("charkh_inference_duration_seconds_count", *labels)].value == 2
    assert samples[("charkh_inference_rows_total", *labels)].value == 5
    assert samples[("charkh_model_loaded", *labels)].value == 1
    bucket = samples[("charkh_inference_duration_seconds_bucket", ("le", "0.0005"), *labels)]
    assert bucket.exemplar is not None
    assert bucket.exemplar.labels == {"prediction_id": "p-1", "trace_id": "a" * 32}
    assert len([name for name in samples if name[0] == "charkh_inference_duration_seconds_bucket"]) == (
        len(LATENCY_BOUNDS) + 1
    )
    assert list(parse_plain(exposition(meters.read(), PLAIN)))


def test_a_model_that_is_replaced_is_told_of_no_longer_and_keeps_its_counts() -> None:
    meters = FileMeters()
    instruments = Instruments(meters)
    for version in ("3", "4"):
        instruments.of("delay", version).loaded(info={"framework": "sklearn"})
        instruments.of("delay", version).answered(200, 0.001)
    instruments.keep([("delay", "4")])
    text = exposition(meters.read())
    for name in ("charkh_model_loaded", "charkh_model_info"):
        assert [line.count('version="4"') for line in text.splitlines() if line.startswith(name)] == [1]
    assert 'charkh_inference_requests_total{model="delay",version="3"' in text


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("application/openmetrics-text; version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.75", PLAIN),
        ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1",
         OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0, text/plain;q=0.2", PLAIN),
        ("application/openmetrics-text;q=garbage", PLAIN),
        (";;q=,,", PLAIN),
    ],
)  # fmt: skip
def test_the_scraper_chooses(accept: str, media: str) -> None:
    assert media_type(accept) == media


def test_an_exemplar_is_never_longer_than_openmetrics_allows() -> None:
    exemplar = Exemplar({"prediction_id": "p" * 100, "trace_id": "a" * 32}, 1.0, 2.0)
    family = Family("s", "histogram", "S.", [Sample("_bucket", {"le": "+Inf"}, 1.0, exemplar)])
    line = exposition([family], OPENMETRICS).splitlines()[2]
    assert line.endswith('# {prediction_id="' + "p" * 100 + '"} 1 2.000')


def test_the_page_is_packed_where_it_pays_and_goes_on_without_a_source_that_fails() -> None:
    meters = FileMeters()
    Instruments(meters)

    def broken() -> Iterable[Family]:
        raise Unavailable("the catalog is gone", code="catalog.gone")

    page = MetricsPage(meters, [broken])
    plain = page.write()
    packed = page.write(encoding="gzip, deflate")
    assert b"charkh_collectors_failed 1" in plain.body
    assert ("content-encoding", "gzip") in packed.headers
    assert b"charkh_collectors_failed 1" in gzip.decompress(packed.body)
