"""`@step`: a plain function that a pipeline caches by content."""

import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, cast, overload

from charkh.core.errors import Invalid
from charkh.pipelines.active import around

A = ParamSpec("A")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class StepOptions(NamedTuple):
    """How a step is cached and run.

    Attributes:
        cache: keep its outputs by content; without, it is executed each time and its output is passed on as it is.
        version: raise it when something changed that charkh cannot see.
        files: globs of files that it reads by other means than Python's `open`, relative to the workspace.
        variables: environment variables that it reads.
        retries: how many times more it is tried when it raises.
    """

    cache: bool = True
    version: str = ""
    files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    retries: int = 0


class Step(Generic[A, R]):
    """A function that is plain when called by itself, and cached when called in a running pipeline.

    Attributes:
        function: the plain function.
        name: `module:qualname`, as it stands in reports and events.
        options: how it is cached and run.
    """

    def __init__(self, function: Callable[A, R], options: StepOptions) -> None:
        self.function = function
        self.options = options
        self.name = f"{module_name(function)}:{getattr(function, '__qualname__', '?')}"
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: A.args, **named: A.kwargs) -> R:
        execution = around()
        if execution is None:
            return self.function(*arguments, **named)
        return execution.call(self, arguments, named)

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # By name, like a function: so that an executor's process finds it in the module that defines it.
        return (_step_named, (getattr(self.function, "__module__", ""), getattr(self.function, "__qualname__", "")))


@overload
def step(function: Callable[A, R], /) -> Step[A, R]: ...
@overload
def step(
    *,
    cache: bool = True,
    version: str = "",
    files: Sequence[str] = (),
    variables: Sequence[str] = (),
    retries: int = 0,
) -> Callable[[Callable[A, R]], Step[A, R]]: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    cache: bool = True,
    version: str = "",
    files: Sequence[str] = (),
    variables: Sequence[str] = (),
    retries: int = 0,
) -> Any:
    """Make a function a step.

    Called by itself (a unit test, a notebook) it is the plain function. Called while a pipeline runs, its output
    is looked up by content: the code of the function and of everything of the same project that it refers to, the
    params, the digests of the inputs, the libraries it refers to, and the files that it read.

    Args:
        function: what becomes a step.
        cache: False for what must happen each time, or whose output cannot be stored.
        version: raise it when something changed that charkh cannot see.
        files: globs, relative to the workspace, of files that it reads by other means than Python's `open`.
        variables: environment variables that it reads.
        retries: how many times more it is tried when it raises.

    Raises:
        Invalid: it is a coroutine or a generator, which cannot be kept.
    """
    options = StepOptions(cache, version, tuple(files), tuple(variables), retries)

    def made(plain: Callable[..., Any]) -> Step[..., Any]:
        if inspect.iscoroutinefunction(plain) or inspect.isgeneratorfunction(plain):
            raise Invalid(
                f"{plain.__qualname__} is a coroutine or a generator, which cannot be a step",
                code="pipeline.not_a_step",
                hint="Let it return its whole result: run the loop inside, or collect what it yields into a list.",
            )
        return Step(plain, options)

    return made if function is None else made(function)


def effect(function: F) -> F:
    """A verb that happens each time a pipeline runs, such as registering a model; a plan shows it and leaves it out.

    It is `@step(cache=False)` with the function's own type; called by itself or inside a cached step it is plain.
    """
    made = Step(function, StepOptions(cache=False))

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        return made(*arguments, **named)

    return cast(F, called)


def module_name(function: object) -> str:
    """The module that defines something; a script has the name of its file, run directly or imported."""
    name = str(getattr(function, "__module__", "") or "?")
    if name != "__main__":
        return name
    file = str(getattr(importlib.import_module(name), "__file__", "") or "")
    return file.replace("\\", "/").rpartition("/")[2].removesuffix(".py") or name


def _step_named(module: str, qualname: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found
