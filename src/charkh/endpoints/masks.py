"""Masks of the prediction log: what is recorded of columns that say too much about a person. Pure functions.

A digest is keyed (BLAKE2b, RFC 7693), so that nobody without the key finds a value by hashing what it might be; equal
values have equal digests, and late truth is joined by hashing its keys alike.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from charkh.core.mask_settings import Mask
from charkh.ports.runtimes import Tensors

if TYPE_CHECKING:
    import numpy.typing as npt

DIGEST_BYTES = 16
_WHOLE = re.compile(r"(?a:^(-?\d+)\.0+$)")
"""A whole number as tables of floating-point numbers are written to text."""


class Masks:
    """Masks of some columns, by name; called with tensors, it gives what may be recorded of them.

    Args:
        columns: of the inputs and outputs.
        key: of the digests, at most 64 bytes.
    """

    def __init__(self, columns: Mapping[str, Mask], key: bytes) -> None:
        self.columns = dict(columns)
        self._key = key

    def __call__(self, tensors: Tensors) -> Tensors:
        """The tensors as they are recorded."""
        if not self.columns.keys() & tensors.keys():
            return tensors
        masked: dict[str, npt.NDArray[Any]] = {}
        for name, tensor in tensors.items():
            mask = self.columns.get(name)
            if mask is None:
                masked[name] = tensor
            elif mask.way == "hash":
                masked[name] = self._each(tensor, self.digest)
            elif mask.way == "truncate":
                masked[name] = _truncated(tensor, mask.kept)
        return masked

    def digest(self, value: object) -> str | None:
        """The digest of one value, in hex; of nothing, nothing."""
        said = canonical(value)
        if said is None:
            return None
        return hashlib.blake2b(said, digest_size=DIGEST_BYTES, key=self._key).hexdigest()

    def _each(self, tensor: "npt.NDArray[Any]", change: Any) -> "npt.NDArray[Any]":
        import numpy as np

        flat = np.array([change(cell) for cell in tensor.ravel().tolist()], dtype=object)
        return flat.reshape(tensor.shape)


def canonical(value: object) -> bytes | None:
    """What is hashed of a value, and how keys are compared: a whole number is the same however it was typed."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _WHOLE.sub(r"\1", str(value)).encode("utf-8", "surrogatepass")


def _truncated(tensor: "npt.NDArray[Any]", kept: int) -> "npt.NDArray[Any]":
    import numpy as np

    kind = tensor.dtype.kind
    if kind == "f":
        scale = 10.0**kept
        with np.errstate(over="ignore", invalid="ignore"):
            cut = np.trunc(tensor.astype(np.float64) * scale) / scale
        # What is too large to have such places is cut to nothing rather than kept whole.
        return np.where(np.isfinite(cut) | np.isnan(tensor), cut, 0.0).astype(tensor.dtype)
    if kind in "iu":
        cells = [_leading(cell, kept) for cell in tensor.ravel().tolist()]
        return np.array(cells, dtype=tensor.dtype).reshape(tensor.shape)
    if kind == "b":
        return np.zeros_like(tensor) if kept == 0 else tensor
    flat = np.array([_beginning(cell, kept) for cell in tensor.ravel().tolist()], dtype=object)
    return flat.reshape(tensor.shape)


def _leading(number: int, kept: int) -> int:
    digits = str(abs(number))
    cut = int(digits[:kept].ljust(len(digits), "0") or "0")
    return -cut if number < 0 else cut


def _beginning(cell: object, kept: int) -> object:
    if cell is None:
        return None
    return cell[:kept] if isinstance(cell, bytes) else str(cell)[:kept]
