"""The suite that every implementation of `charkh.ports.meters.Meters` passes."""

import math
import threading

import pytest

from charkh.core.errors import Invalid
from charkh.ports.meters import Family, Meters

HELP = "What a test counts."


class MetersSuite:
    """Derive, and say how meters are made."""

    def open(self) -> Meters:
        """Meters without any series."""
        raise NotImplementedError

    def test_the_same_name_and_labels_are_the_same_series(self) -> None:
        meters = self.open()
        meters.counter("asked", HELP, {"model": "a", "code": "200"}).add()
        meters.counter("asked", HELP, {"code": "200", "model": "a"}).add(2)
        meters.counter("asked", HELP, {"model": "b", "code": "200"}).add()
        (family,) = _read(meters)
        assert [(sample.labels["model"], sample.value) for sample in family.samples] == [("a", 3.0), ("b", 1.0)]
        assert {sample.suffix for sample in family.samples} == {"_total"}

    def test_a_gauge_is_what_was_set_last_and_gone_when_it_is_no_number(self) -> None:
        meters = self.open()
        gauge = meters.gauge("held", HELP)
        assert not _read(meters)
        gauge.set(2)
        gauge.set(0)
        assert [sample.value for sample in _read(meters)[0].samples] == [0.0]
        gauge.set(math.nan)
        assert not _read(meters)

    def test_buckets_add_up_and_a_bound_belongs_to_its_own(self) -> None:
        meters = self.open()
        histogram = meters.histogram("seconds", HELP, buckets=(0.1, 1.0))
        for value in (0.05, 0.1, 0.5, 7.0):
            histogram.observe(value)
        (family,) = _read(meters)
        told = [(sample.suffix, sample.labels.get("le"), sample.value) for sample in family.samples]
        assert told[:3] == [("_bucket", "0.1", 2.0), ("_bucket", "1.0", 3.0), ("_bucket", "+Inf", 4.0)]
        assert told[3][2] == pytest.approx(7.65)
        assert told[4] == ("_count", None, 4.0)

    def test_an_exemplar_is_in_the_bucket_of_its_value(self) -> None:
        meters = self.open()
        histogram = meters.histogram("seconds", HELP, buckets=(0.1, 1.0))
        histogram.observe(0.5, "p-1", "f" * 32)
        histogram.observe(0.05)
        exemplars = [sample.exemplar for sample in _read(meters)[0].samples]
        assert [each is not None for each in exemplars] == [False, True, False, False, False]
        assert exemplars[1] is not None
        assert exemplars[1].labels == {"prediction_id": "p-1", "trace_id": "f" * 32}
        assert exemplars[1].value == 0.5

    def test_a_text_that_is_too_long_for_an_exemplar_is_left_out(self) -> None:
        meters = self.open()
        histogram = meters.histogram("seconds", HELP, buckets=(0.1,))
        histogram.observe(0.05, "p" * 5000, "é" * 5000)
        histogram.observe(0.5, "p" * 5000, "f" * 32)
        bucket, rest, *_ = _read(meters)[0].samples
        assert bucket.value == 1.0
        assert bucket.exemplar is None
        assert rest.exemplar is not None
        assert rest.exemplar.labels == {"trace_id": "f" * 32}

    @pytest.mark.parametrize("name", ["", "1st", "sp ace", "asked_total", "x_bucket", "naïve"])
    def test_a_name_that_would_spoil_the_page_is_refused(self, name: str) -> None:
        with pytest.raises(Invalid):
            self.open().counter(name, HELP)

    @pytest.mark.parametrize("label", ["", "le", "__name__", "a-b"])
    def test_a_label_that_would_spoil_the_page_is_refused(self, label: str) -> None:
        with pytest.raises(Invalid):
            self.open().gauge("held", HELP, {label: "x"})

    def test_a_name_means_one_kind_of_meter(self) -> None:
        meters = self.open()
        meters.histogram("seconds", HELP, {"model": "a"}, buckets=(1.0,))
        with pytest.raises(Invalid):
            meters.gauge("seconds", HELP, {"model": "a"})
        with pytest.raises(Invalid):
            meters.histogram("seconds", HELP, {"model": "b"}, buckets=(2.0,))
        with pytest.raises(Invalid):
            meters.histogram("other", HELP, buckets=(2.0, 1.0))

    def test_threads_lose_no_count(self) -> None:
        meters = self.open()
        counter = meters.counter("asked", HELP)
        histogram = meters.histogram("seconds", HELP, buckets=(0.1,))

        def work() -> None:
            for _ in range(5000):
                counter.add()
                histogram.observe(0.05, "p")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asked, seconds = _read(meters)
        assert asked.samples[0].value == 20000.0
        assert seconds.samples[-1].value == 20000.0


def _read(meters: Meters) -> list[Family]:
    return list(meters.read())
