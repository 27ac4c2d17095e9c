"""The PyTorch runtime: programs of `torch.export` with their weights inside, run on one thread of the processor.

A file is read and judged without PyTorch (`torch_files.py`) and its graph is run operator by operator
(`torch_program.py`): neither `torch.load` nor `torch.export.load` is called here. A `.pt` or `.pth` pickle is code;
where somebody trusts it, it is loaded in a process of its own.
"""

import contextlib
import importlib
import io
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from charkh.core.errors import Invalid, Unavailable
from charkh.ports.runtimes import Predictor, Safety, Signature, Tensors, TensorSpec, row_count
from charkh.runtimes.apart import ApartPredictor
from charkh.runtimes.columns import Array, columns_of, stack
from charkh.runtimes.plain_files import is_safetensors
from charkh.runtimes.refusal import denied, foreign_reasons, input_refused, verdict
from charkh.runtimes.torch_files import Program, Taken, plain_archive, program_reasons, read_program
from charkh.runtimes.torch_state import STATE, with_state

FILE = "model.pt2"
PICKLES = (".pt", ".pth", ".pt2")
_LOADER = f"{__name__}:load_trusted"
_NUMPY = {1: "u1", 2: "i1", 3: "i2", 4: "i4", 5: "i8", 6: "f2", 7: "f4", 8: "f8", 12: "?", 13: "f4"}
_Run = Callable[[Sequence[Any]], list[Any]]


class TorchRuntime:
    """Saves, judges, loads and asks exported programs (`charkh.ports.runtimes.ModelRuntime` and `ApartRuntime`)."""

    @property
    def name(self) -> str:
        return "torch"

    @property
    def libraries(self) -> Mapping[str, str]:
        found = {"python": platform.python_version(), "numpy": version("numpy")}
        with contextlib.suppress(PackageNotFoundError):
            found["torch"] = version("torch")
        return found

    def accepts(self, estimator: object) -> bool:
        """Whether it is a program: what `torch.export.export` gives."""
        kind = type(estimator)
        return kind.__name__ == "ExportedProgram" and kind.__module__.startswith("torch.")

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """One file, without the sample inputs that PyTorch pickles into it.

        A program that changes tensors in place, or names operators that are not known, is saved in PyTorch's core
        operators (`run_decompositions`).

        Raises:
            Denied: even so it names operators that are not among those that only compute.
            Invalid: it takes one number of rows alone.
        """
        data = _written(estimator)
        if program_reasons(data):
            program: Any = estimator
            data = _written(program.run_decompositions())
        reasons = program_reasons(data)
        if reasons:
            raise denied(reasons)
        _require_rows(read_program(data))
        return {FILE: data}

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """`inert` for exactly one whole program of known operators with nothing that PyTorch would run, and weights as
        safetensors beside it if there are any; else `code`."""
        programs = {name: data for name, data in files.items() if name != STATE}
        if len(programs) > 1:
            return verdict(dict.fromkeys(list(programs)[1:], ("it is not the one model file",)))
        found = {name: program_reasons(data) for name, data in programs.items()}
        if found and STATE in files and not is_safetensors(files[STATE]):
            found[STATE] = foreign_reasons(files[STATE], "safetensors", "it is not what its header says")
        return verdict(found)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> "TorchPredictor":
        """The program, on the processor.

        Raises:
            Denied: the files are something else.
            Invalid: the signature or the weights beside it do not fit, or it takes one number of rows alone.
            Unavailable: PyTorch is not installed, or the installed one lacks an operator.
        """
        from charkh.runtimes.torch_program import TorchGraph

        judged = self.inspect(files)
        if judged.runs_code:
            raise denied(judged.reasons)
        torch = _torch()
        program = read_program(next(data for name, data in files.items() if name != STATE))
        if STATE in files:
            program = with_state(program, files[STATE])
        _require_rows(program)
        try:
            graph = TorchGraph(torch, program)
        except (LookupError, AttributeError, RuntimeError) as error:
            raise Unavailable(
                f"PyTorch {version('torch')} cannot run this model: {error}",
                code="model.not_rebuilt",
                hint="Install the version that is recorded with it, or export it again.",
            ) from error
        return TorchPredictor(graph.run, program.inputs, [name for name, _ in program.outputs], signature)

    def takes(self, files: Mapping[str, bytes]) -> bool:
        """Whether exactly one of them is PyTorch's by its name."""
        return len([name for name in files if name.endswith(PICKLES)]) == 1

    def load_apart(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """The module or program in a process of its own.

        Raises:
            Unavailable: that process cannot load it.
        """
        return ApartPredictor(files, signature, loader=_LOADER)


class TorchPredictor:
    """A program, or a trusted module, and how the signature's tensors become what it takes; threads share it.

    Args:
        run: the tensors that it gives for those that it takes.
        taken: what it takes.
        names: of what it gives; the signature's own where it names as many.
        signature: of the model.

    Raises:
        Invalid: the signature does not fit.
    """

    def __init__(self, run: _Run, taken: Sequence[Taken], names: Sequence[str], signature: Signature) -> None:
        self._torch = _torch()
        self._run = run
        self._threads = self._torch.get_num_threads()
        self._specs = list(signature.inputs)
        self._stacked = _is_stacked(taken, signature)
        order = {spec.name: place for place, spec in enumerate(self._specs)}
        self._taken = [(each, order.get(each.name, 0)) for each in taken]
        self._outputs = _outputs(names, signature)

    def predict(self, inputs: Tensors) -> dict[str, Array]:
        """See `charkh.ports.runtimes.Predictor`."""
        torch = self._torch
        columns = columns_of(self._specs, inputs)
        if self._stacked:
            columns = [stack(columns, np.float64)]
        given = [torch.from_numpy(_fitting(each, columns[place])) for each, place in self._taken]
        rows = row_count(inputs)
        try:
            torch.set_num_threads(1)
            with torch.inference_mode():
                answers = self._run(given)
                return {name: _array(torch, name, answers[place], rows) for name, place in self._outputs}
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise input_refused(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
        finally:
            torch.set_num_threads(self._threads)  # the process may train with more


def load_trusted(folder: Path, signature: Signature) -> Predictor:
    """The module or program that a folder holds; called in the worker, where its code may run.

    Raises:
        Unavailable: it holds no module.
    """
    torch = _torch()
    path = next(each for each in sorted(folder.rglob("*")) if each.name.endswith(PICKLES))
    module = _module(torch, path)
    names = [spec.name for spec in signature.inputs]
    taken = [Taken(name, name, _number(spec), ()) for name, spec in zip(names, signature.inputs, strict=True)]
    if len(taken) > 1 and all(len(spec.shape) == 1 for spec in signature.inputs):
        taken = [Taken("x", "x", 7, (None, len(taken)))]

    def run(given: Sequence[Any]) -> list[Any]:
        answer = module(*given)
        if isinstance(answer, Mapping):
            return [answer[name] for name in answer]  # pyright: ignore[reportUnknownVariableType]
        return list(answer) if isinstance(answer, tuple | list) else [answer]  # pyright: ignore[reportUnknownArgumentType]

    return TorchPredictor(run, taken, [spec.name for spec in signature.outputs] or ["output"], signature)


def _module(torch: Any, path: Path) -> Any:
    if path.suffix == ".pt2":
        return torch.export.load(path).module()
    loaded = torch.load(path, map_location="cpu", weights_only=False)
    if not isinstance(loaded, torch.nn.Module):
        raise Unavailable(
            f"the file holds {type(loaded).__name__}, which is no module",
            code="model.not_a_model",
            hint="Weights alone have no architecture: build the module, load them and export it with torch.export.",
        )
    return loaded.eval()


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise Unavailable(
            "PyTorch is not installed, and this model needs it",
            code="model.no_torch",
            hint="Install the build that fits the machine (https://pytorch.org/get-started), for example "
            "`pip install torch --index-url https://download.pytorch.org/whl/cpu`; or export the model to ONNX.",
        ) from error


def _written(program: object) -> bytes:
    out = io.BytesIO()
    _torch().export.save(program, out)
    return plain_archive(out.getvalue())


def _require_rows(program: Program) -> None:
    for each in program.inputs:
        if not each.sizes or each.sizes[0] is not None:
            rows = f"exactly {each.sizes[0]} rows" if each.sizes else "no rows"
            raise Invalid(
                f"the program's input {each.name!r} takes {rows}",
                code="model.fixed_rows",
                hint='Export it with dynamic_shapes=({0: torch.export.Dim("rows")}, …), one entry for each input.',
            )


def _is_stacked(taken: Sequence[Taken], signature: Signature) -> bool:
    """Whether the signature's columns are the columns of the program's one matrix.

    Raises:
        Invalid: they are neither that nor the program's inputs by name.
    """
    names = {spec.name for spec in signature.inputs}
    numbers = all(spec.datatype != "BYTES" for spec in signature.inputs)
    if numbers and names == {each.name for each in taken}:
        return False
    flat = numbers and all(len(spec.shape) == 1 for spec in signature.inputs)
    if flat and len(taken) == 1 and len(taken[0].sizes) == 2 and taken[0].sizes[1] in {None, len(names)}:
        return True
    wanted = ", ".join(each.name for each in taken)
    raise Invalid(
        f"the program takes {wanted}, and the signature names {', '.join(sorted(names))}",
        code="model.signature_misfit",
        hint="Name the inputs as `forward` does, or give as many number columns as its one matrix has.",
    )


def _outputs(names: Sequence[str], signature: Signature) -> list[tuple[str, int]]:
    """The outputs to answer with, and their places: by name, or in order where the signature names as many."""
    wanted = [spec.name for spec in signature.outputs] or list(names)
    if set(wanted) <= set(names):
        return [(name, list(names).index(name)) for name in wanted]
    if len(wanted) == len(names):
        return [(name, place) for place, name in enumerate(wanted)]
    raise Invalid(
        f"the program gives {', '.join(names)}, and the signature names {', '.join(wanted)}",
        code="model.signature_misfit",
        hint="Name the outputs as it does, or give as many names as it has outputs.",
    )


def _fitting(taken: Taken, column: Array) -> Array:
    if len(taken.sizes) == 2 and column.ndim == 1:
        column = column.reshape(-1, 1)
    sizes = taken.sizes[1:]
    fits = not taken.sizes or (
        column.ndim == len(taken.sizes)
        and all(size in {None, found} for size, found in zip(sizes, column.shape[1:], strict=True))
    )
    if not fits:
        raise input_refused(f"{taken.name!r} has the shape {column.shape}, and the program takes {taken.sizes}")
    fitted = np.ascontiguousarray(column, dtype=_NUMPY[taken.dtype])
    return fitted if fitted.flags.writeable else fitted.copy()


def _array(torch: Any, name: str, answer: Any, rows: int) -> Array:
    if answer.dtype in {torch.float16, torch.bfloat16}:
        answer = answer.float()
    array: Array = answer.numpy()
    if array.ndim == 0 or len(array) != rows:
        raise Invalid(
            f"the program's output {name!r} has the shape {array.shape}, and {rows} rows were asked",
            code="model.output_misfit",
            hint="The first axis of every output is the row.",
        )
    return array


def _number(spec: TensorSpec) -> int:
    return {"FP64": 8, "FP32": 7, "INT64": 5, "INT32": 4, "BOOL": 12}.get(spec.datatype, 7)
