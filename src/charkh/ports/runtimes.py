"""Model runtimes: how models of one framework are saved, judged for safety, loaded and asked."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import msgspec

if TYPE_CHECKING:
    import numpy.typing as npt

Tensors: TypeAlias = "Mapping[str, npt.NDArray[Any]]"
"""Columns or tensors by name; the first axis is the row."""


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output: name, Open Inference datatype (`FP64`, `INT64`, `BYTES`, `BOOL`…) and shape.

    The first axis is -1, the rows. `optional` inputs may be null (NaN, or an empty BYTES element).
    """

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1,)
    optional: bool = False


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Safety(msgspec.Struct, frozen=True, kw_only=True):
    """What loading the files could do.

    `inert`: data only. `listed`: types outside an allow-list are refused by the format's own loader.
    `code`: loading runs code that the file brings; it needs a recorded trust decision.
    A level that this version does not know counts as `code`.
    """

    level: str
    reasons: tuple[str, ...] = ()

    @property
    def runs_code(self) -> bool:
        """Whether loading could run what the file brings."""
        return self.level not in {"inert", "listed"}


class Predictor(Protocol):
    """A loaded model. Threads: `predict` may be called from several at once."""

    def predict(self, inputs: Tensors) -> Tensors:
        """Outputs for inputs that already fit the signature; raises `Invalid` where they do not."""
        ...


class ModelRuntime(Protocol):
    """One framework, four verbs; `load` never loads files that `inspect` calls `code` (see `ApartRuntime`)."""

    @property
    def name(self) -> str:
        """The framework's name, recorded with each model version."""
        ...

    @property
    def libraries(self) -> Mapping[str, str]:
        """The installed versions of the libraries that saving and loading depend on, by package name."""
        ...

    def accepts(self, estimator: object) -> bool:
        """Whether this runtime can save the object."""
        ...

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """The model's files by name."""
        ...

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """What loading these files could do, judged by their structure and never by running them."""
        ...

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """A predictor; raises `Denied` with the reasons when the files would execute code."""
        ...


@runtime_checkable
class ApartRuntime(Protocol):
    """A runtime that can run code which files bring, in a process of its own.

    It does not know who trusts what: only a caller that has taken the verdict, such as `charkh.models.load`, asks it.
    """

    def takes(self, files: Mapping[str, bytes]) -> bool:
        """Whether it can load these files, judged by their names and number."""
        ...

    def load_apart(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """A predictor that asks the process; raises `Unavailable` where the process cannot load the files."""
        ...


def row_count(inputs: Tensors) -> int:
    """Rows in a set of tensors; 0 when there are none."""
    return next((len(tensor) for tensor in inputs.values()), 0)
