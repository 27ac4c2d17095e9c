"""`@pipeline`: a plain function whose step calls are cached while `run_pipeline` executes it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

from charkh.core.errors import Invalid
from charkh.core.params import Params
from charkh.core.refs import parse_name

A = ParamSpec("A")
R = TypeVar("R")


class Pipeline(Generic[A, R]):
    """A function of steps, known by name; called directly, it and its steps are plain functions.

    Attributes:
        function: the plain function.
        name: by which it is run, planned and shown.
    """

    def __init__(self, function: Callable[A, R], name: str = "") -> None:
        self.function = function
        self.name = parse_name(name or function.__name__, "pipeline name")
        if len(inspect.signature(function).parameters) > 1:
            raise _wrong_parameters(self.name)
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: A.args, **named: A.kwargs) -> R:
        return self.function(*arguments, **named)

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    @property
    def params(self) -> type[Params] | None:
        """The class of its params; None when it takes none.

        Raises:
            Invalid: its one parameter is not annotated with a `Params` class.
        """
        parameters = inspect.signature(self.function).parameters
        if not parameters:
            return None
        annotation = get_type_hints(self.function).get(next(iter(parameters)))
        if not (isinstance(annotation, type) and issubclass(annotation, Params)):
            raise _wrong_parameters(self.name)
        return annotation

    @property
    def default(self) -> Params | type[Params] | None:
        """The params of a call without any: the parameter's default, or else the class's own."""
        for parameter in inspect.signature(self.function).parameters.values():
            if isinstance(parameter.default, Params):
                return parameter.default
        return self.params


@overload
def pipeline(function: Callable[A, R], /) -> Pipeline[A, R]: ...
@overload
def pipeline(*, name: str = "") -> Callable[[Callable[A, R]], Pipeline[A, R]]: ...
def pipeline(function: Callable[..., Any] | None = None, /, *, name: str = "") -> Any:
    """Make a function a pipeline: its body calls steps, with whatever control flow Python has.

    Args:
        function: takes nothing, or one parameter annotated with a `Params` class.
        name: in place of the function's own.

    Raises:
        Invalid: it takes more than one parameter, or the name cannot be a name.
    """

    def made(plain: Callable[..., Any]) -> Pipeline[..., Any]:
        return Pipeline(plain, name)

    return made if function is None else made(function)


def _wrong_parameters(name: str) -> Invalid:
    return Invalid(
        f"the pipeline {name} takes something other than one Params",
        code="pipeline.parameters",
        hint="Gather what it can be told in a class: `class Params(charkh.Params): …`, "
        f"`def {name}(p: Params = Params())`.",
    )
