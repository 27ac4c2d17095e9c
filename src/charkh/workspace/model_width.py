"""How many columns a model's files take, where nobody declared it; asked of the model itself, which runs no code."""

from collections.abc import Mapping
from typing import Protocol, cast

from charkh.ports.runtimes import ModelRuntime, Signature, TensorSpec

_ANY = Signature(inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1, -1)),), outputs=())


class _Wide(Protocol):
    @property
    def width(self) -> int:
        """Columns that it takes; 0 where it does not say."""
        ...


def width_of(runtime: ModelRuntime, files: Mapping[str, bytes]) -> int:
    """Columns of the one matrix that the model takes; 0 where it does not say.

    Raises:
        Denied: loading the files would run code.
        Invalid: the model names its columns, so that a matrix will not do.
    """
    predictor = runtime.load(files, _ANY)
    return cast(_Wide, predictor).width if hasattr(predictor, "width") else 0
