"""A model that is not registered yet: its files, its signature and the example that it was signed with.

What a training step returns. It is a value: files by name, never a live estimator, so that a step's
output can be kept by content, and what is evaluated is what would be served.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec
import polars as pl

from charkh.core.errors import Invalid, Unavailable
from charkh.core.events import Fact
from charkh.core.runtime_settings import how_to_have
from charkh.models.example import Array, example_frame, example_tensors, input_specs, output_specs
from charkh.models.register import judge_model
from charkh.ports.runtimes import ModelRuntime, Predictor, Safety, Signature, Tensors


class CandidateParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate is, apart from its files and its example.

    Attributes:
        runtime: name of the runtime that loads it.
        signature: what it takes and gives.
        metrics: numbers about it, published when it is registered.
        run: id of the run that made it, or empty.
        origins: subjects that it was made from, such as `dataset:id`.
    """

    runtime: str
    signature: Signature
    metrics: dict[str, Fact] = {}
    run: str = ""
    origins: tuple[str, ...] = ()


class JudgedFiles(NamedTuple):
    """Library versions, and what loading the files could do."""

    libraries: Mapping[str, str]
    safety: Safety


class Candidate:
    """A trained model that can be asked, evaluated and registered.

    Args:
        parts: what it is.
        files: the model's files by name.
        example: a few rows as the model takes them.
        runtimes: what can load it.
        judged: what is known of its files already.
        tensors: the example as tensors, where they are at hand.
    """

    def __init__(
        self,
        parts: CandidateParts,
        files: Mapping[str, bytes],
        example: pl.DataFrame,
        runtimes: Sequence[ModelRuntime],
        judged: JudgedFiles | None = None,
        tensors: Mapping[str, Array] | None = None,
    ) -> None:
        self.parts = parts
        self.files = dict(files)
        self.example = example
        self._runtimes = tuple(runtimes)
        self._judged = judged
        self._tensors = tensors

    def __repr__(self) -> str:
        takes = ", ".join(spec.name for spec in self.parts.signature.inputs)
        return f"<charkh model of {self.parts.runtime}, takes {takes}>"

    @cached_property
    def judged(self) -> JudgedFiles:
        """What loading its files could do, and the library versions that they depend on."""
        if self._judged is not None:
            return self._judged
        runtime = self._runtime()
        return JudgedFiles(runtime.libraries, runtime.inspect(self.files))

    @property
    def tensors(self) -> Mapping[str, Array]:
        """Its example as a model takes it."""
        return example_tensors(self.example) if self._tensors is None else self._tensors

    @property
    def origins(self) -> tuple[str, ...]:
        """Subjects that it was made from."""
        return self.parts.origins

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded model."""
        return self._runtime().load(self.files, self.parts.signature)

    def _runtime(self) -> ModelRuntime:
        runtime = next((each for each in self._runtimes if each.name == self.parts.runtime), None)
        if runtime is None:
            raise Unavailable(
                f"the model needs the runtime {self.parts.runtime!r}, which is not here",
                code="model.no_runtime",
                hint=how_to_have(self.parts.runtime),
            )
        return runtime

    def predict(self, frame: pl.DataFrame) -> Tensors:
        """The outputs for rows that have at least the model's input columns.

        Raises:
            Invalid: a column is missing or does not fit the signature.
        """
        return self.predictor.predict(model_inputs(frame, self.parts.signature))


def make_candidate(
    estimator: object,
    *,
    example: object,
    runtimes: Sequence[ModelRuntime],
    nullable: Collection[str] = (),
    metrics: Mapping[str, Fact] | None = None,
    run: str = "",
    origins: Sequence[str] = (),
) -> Candidate:
    """Save an estimator, judge its files, and sign it by what the saved files answer to the example.

    Args:
        estimator: a fitted model that one of the runtimes accepts.
        example: a few rows as it takes them: a Polars or pandas frame, a dictionary of columns, or a matrix.
        runtimes: what can save and load models.
        nullable: inputs that may be missing although the example has no gaps in them.
        metrics: numbers about it, published when it is registered.
        run: id of the run that made it.
        origins: subjects that it was made from.

    Raises:
        NotFound: no runtime accepts it.
        Invalid: the example has no rows or a column that no model can be sent.
        Denied: the saved files would run code.
    """
    tensors = example_tensors(example)
    judged = judge_model(estimator, runtimes)
    unsigned = Signature(inputs=input_specs(tensors, nullable), outputs=())
    answers = judged.runtime.load(judged.files, unsigned).predict(tensors)
    parts = CandidateParts(
        runtime=judged.runtime.name,
        signature=Signature(inputs=unsigned.inputs, outputs=output_specs(answers)),
        metrics=dict(metrics or {}),
        run=run,
        origins=tuple(origins),
    )
    known = JudgedFiles(judged.runtime.libraries, judged.safety)
    return Candidate(parts, judged.files, example_frame(example), runtimes, known, tensors)


def model_inputs(frame: pl.DataFrame, signature: Signature) -> Mapping[str, Array]:
    """The columns that a signature names, as its tensors.

    Raises:
        Invalid: one is missing, there are no rows, or a column's type has no datatype.
    """
    missing = [spec.name for spec in signature.inputs if spec.name not in frame.columns]
    if missing:
        raise Invalid(
            f"the rows lack the model's input {missing[0]!r}",
            code="model.input_missing",
            hint=f"The model takes: {', '.join(spec.name for spec in signature.inputs)}.",
            facts={"missing": missing},
        )
    return example_tensors(frame.select([spec.name for spec in signature.inputs]))
