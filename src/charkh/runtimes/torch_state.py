"""Weights as safetensors beside a program: they take the place of those in it that have their names.

The layout is https://huggingface.co/docs/safetensors; a file is read here, so nothing has to be installed for it.
"""

import json
from typing import Any

from charkh.core.errors import Invalid
from charkh.runtimes.torch_files import ITEM_SIZES, Program, Weight

STATE = "weights.safetensors"

_TYPES = {"U8": 1, "I8": 2, "I16": 3, "I32": 4, "I64": 5, "F16": 6, "F32": 7, "F64": 8, "BOOL": 12, "BF16": 13}


def with_state(program: Program, data: bytes) -> Program:
    """The program with the weights of a whole file of safetensors.

    Raises:
        Invalid: the file has a tensor that the program has not, of another type or shape, or not all of its parameters.
    """
    size = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    slots = {key: slot for slot, key in program.names.items()}
    weights = dict(program.weights)
    for key, entry in header.items():
        if key not in slots:
            raise _misfit(f"has a tensor {key!r}, and the program has none of that name")
        first, last = entry["data_offsets"]
        old = weights[slots[key]]
        new = _weight(data[8 + size + first : 8 + size + last], entry)
        if new is None or (new.dtype, new.sizes) != (old.dtype, old.sizes):
            raise _misfit(f"has {key!r} as {entry['dtype']}{entry['shape']}, and the program in another type or shape")
        for slot, name in program.names.items():
            if name == key:
                weights[slot] = new
    missing = [key for key in program.parameters if key not in header]
    if missing:
        raise _misfit(f"lacks {missing[0]!r}, which the program has as a parameter")
    return program._replace(weights=weights)


def _weight(data: bytes, entry: Any) -> Weight | None:
    dtype, sizes = _TYPES.get(entry["dtype"]), tuple(int(each) for each in entry["shape"])
    strides: list[int] = []
    step = 1
    for size in reversed(sizes):
        strides.insert(0, step)
        step *= size
    if dtype is None or step * ITEM_SIZES[dtype] != len(data):
        return None
    return Weight(data, dtype, sizes, tuple(strides), 0)


def _misfit(what: str) -> Invalid:
    return Invalid(
        f"{STATE} {what}",
        code="model.state_misfit",
        hint="Write the state of the module that was exported: safetensors.torch.save_file(module.state_dict(), path).",
    )
