"""The key of a step call: everything that can change what it gives, part by part, so that a miss can be explained."""

import inspect
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, cast

from charkh.core.canon import Json
from charkh.core.digests import digest_of
from charkh.core.errors import Invalid
from charkh.core.params import Params, values_of
from charkh.pipelines.closure import closure_of, methods_of
from charkh.pipelines.digests import Digests
from charkh.pipelines.execution import KeyParts
from charkh.pipelines.pipeline import Pipeline
from charkh.pipelines.reading import declared_digests
from charkh.pipelines.sources import is_own_code
from charkh.pipelines.step import Step, StepOptions
from charkh.pipelines.values import Apart, Codec


class Keyed(NamedTuple):
    """A step call whose key is known.

    Attributes:
        parts: what the key is made of.
        inputs: the arguments that are inputs, taken apart.
        origins: subjects that the inputs say they were made from.
    """

    parts: KeyParts
    inputs: Mapping[str, Apart]
    origins: tuple[str, ...]


def keyed(step: "Step[..., Any]", arguments: Mapping[str, Any], digests: Digests, folder: Path) -> Keyed:
    """The key of calling `step` with these arguments.

    Args:
        step: what is called.
        arguments: by name, defaults included.
        digests: of the inputs and of global values.
        folder: the workspace, to which declared files are relative.

    Raises:
        Invalid: an argument can be neither param nor input.
    """
    roots: list[object] = [step.function]
    params, inputs, aparts = dict[str, Any](), dict[str, str](), dict[str, Apart]()
    for name, value in arguments.items():
        if isinstance(value, Params):
            params[name] = values_of(value)
            roots += methods_of(value)
        elif isinstance(value, Step | Pipeline | FunctionType | type):
            thing = cast("Step[..., Any]", value)
            params[name] = f"{thing.__module__}:{getattr(thing, '__qualname__', '?')}"
            roots.append(thing)
        else:
            apart = _apart(step, name, value, digests)
            form = cast("Sequence[Json]", apart.form)
            if form[0] == "json" and not isinstance(form[1], list | dict):
                params[name] = form[1]
                continue
            aparts[name] = apart
            inputs[name] = digests.digest_apart(apart)
            roots += [cls for cls in apart.classes if is_own_code(cls.__module__)]
    closure = closure_of(roots, digests.digest)
    parts = KeyParts(
        code=closure.code,
        params=params,
        inputs=inputs,
        environment={"python": ".".join(platform.python_version_tuple()[:2]), **closure.libraries},
        declared=_declared(step.options, folder),
    )
    origins = dict.fromkeys(origin for apart in aparts.values() for origin in apart.origins)
    return Keyed(parts, aparts, tuple(origins))


def content_key(function: object, *arguments: object, codecs: Sequence[Codec] = (), folder: Path | None = None) -> str:
    """One digest for a function with its code, and values: what a study is a study *of*.

    Args:
        function: a step or a plain function; it need not take these arguments.
        arguments: what it is given.
        codecs: for values that the built-in ones do not take.
        folder: the workspace; the current folder by default.

    Raises:
        Invalid: an argument can be neither param nor input.
    """
    called = cast("Step[..., Any]", function) if isinstance(function, Step) else _as_step(function)
    named = {f"argument {number}": value for number, value in enumerate(arguments)}
    return keyed(called, named, Digests(codecs), folder or Path.cwd()).parts.key


def bound(step: "Step[..., Any]", arguments: Sequence[Any], named: Mapping[str, Any]) -> inspect.BoundArguments:
    """The arguments of a call by name, defaults included.

    Raises:
        TypeError: they do not fit the function, as for any call.
    """
    found = inspect.signature(step.function).bind(*arguments, **named)
    found.apply_defaults()
    return found


def _as_step(function: Any) -> "Step[..., Any]":
    return Step(function, StepOptions())


def _apart(step: "Step[..., Any]", name: str, value: object, digests: Digests) -> Apart:
    try:
        return digests.take_apart(value)
    except Invalid as error:
        raise Invalid(
            f"the argument {name!r} of the step {step.name}: {error.message}",
            code=error.code,
            hint=error.hint.replace("Return", "Pass"),
            facts={**error.facts, "step": step.name, "argument": name},
        ) from error


def _declared(options: StepOptions, folder: Path) -> dict[str, str]:
    found = dict[str, str]()
    if options.version:
        found["version"] = options.version
    for path, digest in declared_digests(options.files, folder).items():
        found[f"file {path}"] = digest
    for name in options.variables:
        value = os.environ.get(name)
        # The value may be a credential: it is compared, never kept.
        found[f"variable {name}"] = "absent" if value is None else digest_of(value.encode("utf-8", "surrogateescape"))
    return found
