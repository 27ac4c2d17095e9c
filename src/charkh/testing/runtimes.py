"""The suite that every model runtime passes: inherit `RuntimeSuite` and say what its models and hostile files are."""

import gzip
import io
import pickle
import threading
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from charkh.core.errors import Denied, Invalid
from charkh.ports.runtimes import ModelRuntime, Signature, Tensors, row_count


class Sample(NamedTuple):
    """A trained estimator, its signature, rows to ask it about, and its own answers by output name."""

    estimator: object
    signature: Signature
    inputs: Tensors
    answers: Tensors


class Touch:
    """Unpickled, it writes a file: the proof that something was executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


class RuntimeSuite(ABC):
    """What `charkh.ports.runtimes.ModelRuntime` promises."""

    @abstractmethod
    def make(self) -> ModelRuntime:
        """The runtime."""

    @abstractmethod
    def sample(self) -> Sample:
        """A small trained model."""

    @abstractmethod
    def hostile(self, files: Mapping[str, bytes], marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        """By name, files that would create `marker` if the framework's own loader took them.

        Args:
            files: what the runtime saved for the sample.
            marker: the file whose existence proves execution.
        """

    def test_it_has_a_name_and_versions(self) -> None:
        runtime = self.make()
        assert runtime.name
        assert runtime.libraries
        assert all(runtime.libraries.values())

    def test_what_it_saves_it_loads_and_it_answers_the_same(self) -> None:
        runtime, sample = self.make(), self.sample()
        assert runtime.accepts(sample.estimator)
        files = runtime.save(sample.estimator)
        assert runtime.inspect(files).level != "code"
        answers = runtime.load(files, sample.signature).predict(sample.inputs)
        assert list(answers) == [spec.name for spec in sample.signature.outputs]
        for name, expected in sample.answers.items():
            np.testing.assert_array_equal(answers[name], expected)

    def test_saving_twice_gives_the_same_bytes(self) -> None:
        runtime, sample = self.make(), self.sample()
        assert runtime.save(sample.estimator) == runtime.save(sample.estimator)

    def test_it_does_not_accept_what_is_no_model(self) -> None:
        assert not self.make().accepts({"a": 1})
        assert not self.make().accepts("model")

    def test_a_missing_input_is_invalid(self) -> None:
        runtime, sample = self.make(), self.sample()
        predictor = runtime.load(runtime.save(sample.estimator), sample.signature)
        for name in sample.inputs:
            with pytest.raises(Invalid, match=name):
                predictor.predict({other: column for other, column in sample.inputs.items() if other != name})

    def test_inputs_of_unequal_length_are_invalid(self) -> None:
        runtime, sample = self.make(), self.sample()
        predictor = runtime.load(runtime.save(sample.estimator), sample.signature)
        last = list(sample.inputs)[-1]
        if len(sample.inputs) > 1:
            with pytest.raises(Invalid):
                predictor.predict({**sample.inputs, last: sample.inputs[last][:-1]})

    def test_threads_share_a_predictor(self) -> None:
        runtime, sample = self.make(), self.sample()
        predictor = runtime.load(runtime.save(sample.estimator), sample.signature)
        rows = row_count(sample.inputs)
        wrong: list[int] = []

        def ask(start: int) -> None:
            for _ in range(5):
                answers = predictor.predict({name: column[start:] for name, column in sample.inputs.items()})
                if any(not np.array_equal(answers[name], whole[start:]) for name, whole in sample.answers.items()):
                    wrong.append(start)

        threads = [threading.Thread(target=ask, args=(start % rows,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_a_pickle_is_code_under_any_name_and_does_not_run(self, tmp_path: Path, protocol: int) -> None:
        runtime, sample = self.make(), self.sample()
        saved = runtime.save(sample.estimator)
        marker = tmp_path / "executed"
        self._refused(runtime, sample, {next(iter(saved)): pickle.dumps(Touch(marker), protocol)}, marker)

    def test_no_hostile_file_runs(self, tmp_path: Path) -> None:
        runtime, sample = self.make(), self.sample()
        marker = tmp_path / "executed"
        hostile = self.hostile(runtime.save(sample.estimator), marker)
        assert len(hostile) >= 6
        for name, files in hostile.items():
            assert runtime.inspect(files).level == "code", name
            self._refused(runtime, sample, files, marker)

    def test_a_file_with_something_before_or_behind_it_is_code(self, tmp_path: Path) -> None:
        runtime, sample = self.make(), self.sample()
        name, data = next(iter(runtime.save(sample.estimator).items()))
        pickled = pickle.dumps(Touch(tmp_path / "executed"))
        for disguise in (pickled + data, data + pickled, b"\0" + data, data + b"\0"):
            self._refused(runtime, sample, {name: disguise}, tmp_path / "executed")

    def test_a_truncated_file_is_code(self, tmp_path: Path) -> None:
        runtime, sample = self.make(), self.sample()
        name, data = next(iter(runtime.save(sample.estimator).items()))
        for size in (0, 1, 20, len(data) // 2, len(data) - 1):
            self._refused(runtime, sample, {name: data[:size]}, tmp_path / "executed")

    def test_an_unknown_extra_file_is_code(self, tmp_path: Path) -> None:
        runtime, sample = self.make(), self.sample()
        files = {**runtime.save(sample.estimator), "custom.py": b"import os"}
        self._refused(runtime, sample, files, tmp_path / "executed")

    def _refused(self, runtime: ModelRuntime, sample: Sample, files: Mapping[str, bytes], marker: Path) -> None:
        verdict = runtime.inspect(files)
        assert verdict.level == "code"
        assert verdict.reasons
        with pytest.raises(Denied) as refusal:
            runtime.load(files, sample.signature)
        assert all(reason in str(refusal.value) for reason in verdict.reasons)
        assert refusal.value.hint
        assert not marker.exists()


def disguises(files: Mapping[str, bytes], marker: Path) -> dict[str, Mapping[str, bytes]]:
    """Hostile forms of a one-file model that no format reads: pickles in disguise, and files beside it."""
    (name, data), *_ = files.items()
    pickled = pickle.dumps(Touch(marker))
    return {
        "pickle": {name: pickled},
        "pickle in gzip": {name: gzip.compress(pickled)},
        "archive": {name: zip_of({"data.pkl": pickled})},
        "joined": {name: data + pickled},
        "two models": {name: data, f"copy of {name}": data},
        "script beside it": {name: data, "setup.py": b"open('x', 'w')"},
        "nothing": {name: b""},
    }


def zip_of(members: Mapping[str, bytes]) -> bytes:
    """A plain zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()
