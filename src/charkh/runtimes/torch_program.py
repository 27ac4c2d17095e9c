"""Run a graph that `torch_files` has read: each node's operator called with its arguments, on the processor."""

import importlib
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from charkh.runtimes.torch_files import Program, Weight, names_in

Values: TypeAlias = "dict[str, Any]"
_Read: TypeAlias = Callable[[Values], Any]

_TYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}
_FORMATS = {1: "contiguous_format", 2: "channels_last", 3: "channels_last_3d", 4: "preserve_format"}
_KEYWORD = 2
_LISTS = frozenset({"as_tensors", "as_optional_tensors", "as_sym_ints", "as_sym_bools", "as_sym_floats"})
_BUILT_IN = {"_operator": operator, "math": importlib.import_module("math")}


class _Step(NamedTuple):
    call: Callable[..., Any]
    positional: Sequence[_Read]
    keywords: Mapping[str, _Read]
    keep: Callable[[Values, Any], None]
    done: Sequence[str]


def element_type(torch: Any, number: int) -> Any:
    """PyTorch's element type of its number in a file."""
    return getattr(torch, _TYPES[number])


class TorchGraph:
    """A program whose operators are looked up and whose weights are tensors; threads share it.

    Raises:
        LookupError, AttributeError: the installed PyTorch lacks an operator that it names.
    """

    def __init__(self, torch: Any, program: Program) -> None:
        self._weights = {name: _tensor(torch, each) for name, each in program.weights.items()}
        self._slots = [each.slot for each in program.inputs]
        self._outputs = [slot for _, slot in program.outputs]
        last = _last_uses(program)
        self._steps = [_step(torch, node, last.get(place, ())) for place, node in enumerate(program.nodes)]

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """The tensors that it gives for those that it takes, both in the program's order."""
        values = {**self._weights, **dict(zip(self._slots, inputs, strict=True))}
        for step in self._steps:
            answer = step.call(
                *[read(values) for read in step.positional],
                **{name: read(values) for name, read in step.keywords.items()},
            )
            step.keep(values, answer)
            for name in step.done:
                values.pop(name, None)
        return [values[name] for name in self._outputs]


def _last_uses(program: Program) -> dict[int, tuple[str, ...]]:
    """By node, the values that nothing behind it reads: they need not be kept."""
    last: dict[str, int] = {}
    for place, node in enumerate(program.nodes):
        used = names_in([each["arg"] for each in node["inputs"]]) | names_in(node["outputs"])
        last.update(dict.fromkeys(used, place))
    for _, slot in program.outputs:
        last.pop(slot, None)
    done: dict[int, list[str]] = {}
    for name, place in last.items():
        done.setdefault(place, []).append(name)
    return {place: tuple(names) for place, names in done.items()}


def _step(torch: Any, node: Mapping[str, Any], done: Sequence[str]) -> _Step:
    named = [(each["name"], each.get("kind"), _reader(torch, each["arg"])) for each in node["inputs"]]
    return _Step(
        call=_operator(torch, node["target"]),
        positional=[read for _, kind, read in named if kind != _KEYWORD],
        keywords={name: read for name, kind, read in named if kind == _KEYWORD},
        keep=_keeper(node["outputs"]),
        done=done,
    )


def _operator(torch: Any, target: str) -> Callable[..., Any]:
    first, *rest = target.split(".")
    found: Any = torch if first == "torch" else _BUILT_IN[first]
    for name in rest:
        found = getattr(found, name)
    return found


def _reader(torch: Any, argument: Mapping[str, Any]) -> _Read:
    """How an argument's value is had: a constant, or what a node before has given."""
    ((kind, value),) = argument.items()
    if kind in {"as_tensor", "as_optional_tensor", "as_sym_int", "as_sym_bool", "as_sym_float"}:
        return _one(value)
    if kind in _LISTS:
        readers = [_one(each) for each in value]
        return lambda values: [read(values) for read in readers]
    return _always(_constant(torch, kind, value))


def _one(value: Mapping[str, Any]) -> _Read:
    """A tensor or a size: `{"name": …}`, `{"as_name": …}`, `{"as_int": 3}`, `{"as_tensor": {"name": …}}`, none."""
    if "name" in value:
        name = value["name"]
        return lambda values: values[name]
    ((kind, inner),) = value.items()
    if kind == "as_name":
        return lambda values: values[inner]
    if kind == "as_tensor":
        return _one(inner)
    return _always(None if kind == "as_none" else inner)


def _always(value: Any) -> _Read:
    def read(_values: Values) -> Any:
        return value

    return read


def _constant(torch: Any, kind: str, value: Any) -> Any:
    if kind == "as_none":
        return None
    if kind == "as_scalar_type":
        return element_type(torch, value)
    if kind == "as_memory_format":
        return getattr(torch, _FORMATS[value])
    if kind == "as_layout":
        return torch.strided
    if kind == "as_device":
        return torch.device("cpu")
    if kind == "as_float":
        return float(value)  # infinities and NaN are texts in the file
    if kind in {"as_floats", "as_float_lists"}:
        return [_constant(torch, kind if isinstance(each, list) else "as_float", each) for each in value]
    if kind == "as_complex":
        return complex(value["real"], value["imag"])
    return value


def _keeper(outputs: Sequence[Mapping[str, Any]]) -> Callable[[Values, Any], None]:
    """How what a node gives gets its names: one, several, or those of a list."""
    if len(outputs) == 1 and "as_tensors" in outputs[0]:
        names = [each["name"] for each in outputs[0]["as_tensors"]]
    else:
        names = [_name(each) for each in outputs]
        if len(names) == 1:
            (only,) = names
            return lambda values, answer: values.__setitem__(only, answer)
    return lambda values, answer: values.update(zip(names, answer, strict=True)) if names else None


def _name(output: Mapping[str, Any]) -> str:
    ((kind, value),) = output.items()
    return "" if kind == "as_none" else value.get("name") or value.get("as_name") or ""


def _tensor(torch: Any, weight: Weight) -> Any:
    dtype = element_type(torch, weight.dtype)
    if not weight.data:
        return torch.zeros(weight.sizes, dtype=dtype)
    flat = torch.frombuffer(bytearray(weight.data), dtype=dtype)
    return flat.as_strided(weight.sizes, weight.strides, weight.offset)
