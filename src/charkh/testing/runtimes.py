"""The suites that every model runtime passes: inherit one and say what its models and hostile files are.

`RuntimeSuite` is for what is loaded as data, `ApartRuntimeSuite` for what runs code where somebody trusts it.
"""

import gzip
import io
import pickle
import threading
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pytest

from charkh.core.errors import Denied, Invalid, Unavailable
from charkh.ports.runtimes import ApartRuntime, ModelRuntime, Predictor, Signature, Tensors, row_count


class Sample(NamedTuple):
    """A trained estimator, its signature, rows to ask it about, and its own answers by output name."""

    estimator: object
    signature: Signature
    inputs: Tensors
    answers: Tensors


class AnyApartRuntime(ModelRuntime, ApartRuntime, Protocol):
    """A runtime that does both."""


class Touch:
    """Unpickled, it writes a file: the proof that something was executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


class RuntimeSuite(ABC):
    """What `charkh.ports.runtimes.ModelRuntime` promises.

    A runtime that reads what only other programs write overrides `saved`, and `altered` where its model is a folder.
    """

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

    def saved(self, runtime: ModelRuntime, sample: Sample) -> Mapping[str, bytes]:
        """The files of a sample; what the runtime makes of it by default."""
        return runtime.save(sample.estimator)

    def altered(self, files: Mapping[str, bytes], change: Callable[[bytes], bytes]) -> Mapping[str, bytes]:
        """A model whose bytes were changed; its first file alone by default."""
        name, data = next(iter(files.items()))
        return {name: change(data)}

    def test_it_has_a_name_and_versions(self) -> None:
        require_name_and_versions(self.make())

    def test_what_it_saves_it_loads_and_it_answers_the_same(self) -> None:
        runtime, sample = self.make(), self.sample()
        files = self.saved(runtime, sample)
        assert runtime.inspect(files).level != "code"
        answers = runtime.load(files, sample.signature).predict(sample.inputs)
        assert list(answers) == [spec.name for spec in sample.signature.outputs]
        for name, expected in sample.answers.items():
            np.testing.assert_array_equal(answers[name], expected)

    def test_saving_twice_gives_the_same_bytes_and_what_is_not_accepted_is_not_saved(self) -> None:
        runtime, sample = self.make(), self.sample()
        if type(self).saved is not RuntimeSuite.saved:
            require_no_saving(runtime, sample)
            return
        assert runtime.accepts(sample.estimator)
        assert runtime.save(sample.estimator) == runtime.save(sample.estimator)

    def test_it_does_not_accept_what_is_no_model(self) -> None:
        assert not self.make().accepts({"a": 1})
        assert not self.make().accepts("model")

    def test_a_missing_input_is_invalid(self) -> None:
        runtime, sample = self.make(), self.sample()
        predictor = runtime.load(self.saved(runtime, sample), sample.signature)
        require_every_input(predictor, sample)

    def test_inputs_of_unequal_length_are_invalid(self) -> None:
        runtime, sample = self.make(), self.sample()
        predictor = runtime.load(self.saved(runtime, sample), sample.signature)
        require_equal_lengths(predictor, sample)

    def test_threads_share_a_predictor(self) -> None:
        runtime, sample = self.make(), self.sample()
        predictor = runtime.load(self.saved(runtime, sample), sample.signature)
        require_threads(predictor, sample)

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_a_pickle_is_code_under_any_name_and_does_not_run(self, tmp_path: Path, protocol: int) -> None:
        runtime, sample = self.make(), self.sample()
        saved = self.saved(runtime, sample)
        marker = tmp_path / "executed"
        files = self.altered(saved, lambda _data: pickle.dumps(Touch(marker), protocol))
        self._refused(runtime, sample, files, marker)

    def test_no_hostile_file_runs(self, tmp_path: Path) -> None:
        runtime, sample = self.make(), self.sample()
        marker = tmp_path / "executed"
        hostile = self.hostile(self.saved(runtime, sample), marker)
        assert len(hostile) >= 6
        for name, files in hostile.items():
            assert runtime.inspect(files).level == "code", name
            self._refused(runtime, sample, files, marker)

    def test_a_file_with_something_before_or_behind_it_is_code(self, tmp_path: Path) -> None:
        runtime, sample = self.make(), self.sample()
        saved = self.saved(runtime, sample)
        for added in (pickle.dumps(Touch(tmp_path / "executed")), b"\0"):
            before = self.altered(saved, lambda data, added=added: added + data)
            behind = self.altered(saved, lambda data, added=added: data + added)
            self._refused(runtime, sample, before, tmp_path / "executed")
            self._refused(runtime, sample, behind, tmp_path / "executed")

    def test_a_truncated_file_is_code(self, tmp_path: Path) -> None:
        runtime, sample = self.make(), self.sample()
        saved = self.saved(runtime, sample)
        cuts: tuple[Callable[[bytes], bytes], ...] = (
            lambda _data: b"",
            lambda data: data[:1],
            lambda data: data[:20],
            lambda data: data[: len(data) // 2],
            lambda data: data[:-1],
        )
        for cut in cuts:
            self._refused(runtime, sample, self.altered(saved, cut), tmp_path / "executed")

    def test_an_unknown_extra_file_is_code(self, tmp_path: Path) -> None:
        runtime, sample = self.make(), self.sample()
        files = {**self.saved(runtime, sample), "custom.py": b"import os"}
        self._refused(runtime, sample, files, tmp_path / "executed")

    def _refused(self, runtime: ModelRuntime, sample: Sample, files: Mapping[str, bytes], marker: Path) -> None:
        require_refused(runtime, sample, files)
        assert not marker.exists()


class ApartRuntimeSuite(ABC):
    """What `ModelRuntime` and `charkh.ports.runtimes.ApartRuntime` promise of files that are code.

    The runtime itself trusts nobody: it refuses them, and runs them apart for who has taken that decision.
    """

    @abstractmethod
    def make(self) -> AnyApartRuntime:
        """The runtime."""

    @abstractmethod
    def sample(self) -> Sample:
        """A small trained model."""

    @abstractmethod
    def files(self) -> Mapping[str, bytes]:
        """The sample as another program saved it: files that are code."""

    @abstractmethod
    def hostile(self, marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        """By name, files that would create `marker` if anything here loaded them."""

    @abstractmethod
    def broken(self) -> Mapping[str, Mapping[str, bytes]]:
        """By name, files that the runtime takes and that no process can load."""

    @pytest.fixture(scope="class")
    @classmethod
    def apart(cls) -> Iterator[Predictor]:
        """The sample in its own process, started once."""
        suite = cls()
        predictor = suite.make().load_apart(suite.files(), suite.sample().signature)
        yield predictor
        close(predictor)

    def test_it_has_a_name_and_versions(self) -> None:
        require_name_and_versions(self.make())

    def test_it_saves_nothing_of_its_own(self) -> None:
        require_no_saving(self.make(), self.sample())

    def test_what_is_code_is_told_and_refused_whoever_wrote_it(self) -> None:
        require_refused(self.make(), self.sample(), self.files())

    def test_hostile_files_are_refused_and_nothing_of_them_runs(self, tmp_path: Path) -> None:
        runtime, marker = self.make(), tmp_path / "executed"
        hostile = self.hostile(marker)
        assert len(hostile) >= 3
        for files in hostile.values():
            require_refused(runtime, self.sample(), files)
            runtime.takes(files)
        assert not marker.exists()

    def test_it_takes_its_own_files_and_no_others(self) -> None:
        runtime = self.make()
        assert runtime.takes(self.files())
        assert not runtime.takes({})
        assert not runtime.takes({"notes.txt": b"text"})

    def test_apart_it_answers_as_the_model_itself(self, apart: Predictor) -> None:
        sample = self.sample()
        answers = apart.predict(sample.inputs)
        assert list(answers) == [spec.name for spec in sample.signature.outputs]
        for name, expected in sample.answers.items():
            np.testing.assert_allclose(answers[name], expected, rtol=1e-12)

    def test_apart_a_missing_input_is_invalid(self, apart: Predictor) -> None:
        require_every_input(apart, self.sample())

    def test_apart_inputs_of_unequal_length_are_invalid(self, apart: Predictor) -> None:
        require_equal_lengths(apart, self.sample())

    def test_apart_threads_take_turns(self, apart: Predictor) -> None:
        require_threads(apart, self.sample())

    def test_what_cannot_be_loaded_is_unavailable_and_says_why(self) -> None:
        runtime = self.make()
        for name, files in self.broken().items():
            assert runtime.takes(files), name
            with pytest.raises(Unavailable) as failed:
                runtime.load_apart(files, self.sample().signature)
            assert failed.value.code == "model.apart_failed", name
            assert failed.value.hint


def require_name_and_versions(runtime: ModelRuntime) -> None:
    """Its name, and the versions that are recorded with a model, are there."""
    assert runtime.name
    assert runtime.libraries
    assert all(runtime.libraries.values())


def require_no_saving(runtime: ModelRuntime, sample: Sample) -> None:
    """What is not accepted is not saved either, and who asks is told what to do."""
    assert not runtime.accepts(sample.estimator)
    with pytest.raises(Invalid) as refusal:
        runtime.save(sample.estimator)
    assert refusal.value.hint


def require_refused(runtime: ModelRuntime, sample: Sample, files: Mapping[str, bytes]) -> None:
    """The verdict is code, with reasons, and loading says the same."""
    verdict = runtime.inspect(files)
    assert verdict.level == "code"
    assert verdict.reasons
    with pytest.raises(Denied) as refusal:
        runtime.load(files, sample.signature)
    assert all(reason in str(refusal.value) for reason in verdict.reasons)
    assert refusal.value.hint


def require_every_input(predictor: Predictor, sample: Sample) -> None:
    """Each input that is left out is named."""
    for name in sample.inputs:
        with pytest.raises(Invalid, match=name):
            predictor.predict({other: column for other, column in sample.inputs.items() if other != name})


def require_equal_lengths(predictor: Predictor, sample: Sample) -> None:
    """Inputs of unequal length are refused."""
    last = list(sample.inputs)[-1]
    if len(sample.inputs) > 1:
        with pytest.raises(Invalid):
            predictor.predict({**sample.inputs, last: sample.inputs[last][:-1]})


def require_threads(predictor: Predictor, sample: Sample) -> None:
    """Eight threads that ask for different rows get their own answers."""
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


def close(predictor: object) -> None:
    """End the process of a predictor that has one."""
    ending = getattr(predictor, "close", None)
    if callable(ending):
        ending()


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
