"""Retrace a pipeline: execute its body up to one call, and learn which step made the value that the call was given.

Steps are looked up and kept as in any run. What happens each time (`@step(cache=False)`) is left to the caller, and no
execution of the pipeline is recorded.
"""

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from charkh.core.errors import Invalid
from charkh.core.params import Params
from charkh.pipelines.active import enter_pipeline, enter_step
from charkh.pipelines.digests import Digests, own_copy
from charkh.pipelines.key import bound
from charkh.pipelines.pipeline import Pipeline
from charkh.pipelines.run import pipeline_params
from charkh.pipelines.running import Running, Surroundings
from charkh.pipelines.step import Step
from charkh.pipelines.values import Codec
from charkh.ports.store import Store

Effect = Callable[["Step[..., Any]", tuple[Any, ...], Mapping[str, Any]], Any]
"""What stands in for a step that happens each time: it may call it, answer in its place, or raise `Reached`."""


class Reached(BaseException):
    """The call that is looked for; no `except Exception` of a pipeline's body may hide it.

    Attributes:
        value: what the call was given.
    """

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class Maker:
    """A step call that made a value.

    Args:
        call: the step and its arguments.
        pick: from what the step gives to the value that was looked for.
        digests: take arguments apart, so that they can be copied.

    Attributes:
        name: `module:qualname` of the step.
        news: why it was executed now; empty where its output was there, so that its code and inputs are as they were.
    """

    def __init__(self, call: "_Called", pick: Callable[[Any], Any], digests: Digests) -> None:
        self.name = call.step.name
        self.news = call.news
        self._call = call
        self._pick = pick
        self._digests = digests

    def arguments(self) -> dict[str, Any]:
        """Its arguments by name, defaults included, as no call can have changed them in place."""
        return {name: self._copied(value) for name, value in self._call.fitted.arguments.items()}

    def make(self, arguments: Mapping[str, Any]) -> Any:
        """What the plain function gives for these arguments; nothing is kept of it.

        Raises:
            Exception: whatever the function raises.
        """
        fitted = inspect.BoundArguments(self._call.fitted.signature, cast(Any, dict(arguments)))
        with enter_step(self.name):
            return self._pick(self._call.step.function(*fitted.args, **fitted.kwargs))

    def _copied(self, value: Any) -> Any:
        with contextlib.suppress(Invalid):
            return own_copy(self._digests.take_apart(value))
        return value  # such as a function, or what only a step that is not cached can be given


class Retraced(NamedTuple):
    """What a pipeline was going to give to a call.

    Attributes:
        value: what the call was given.
        maker: the step call that made it; None where the pipeline's own body did.
    """

    value: Any
    maker: Maker | None


class _Called(NamedTuple):
    step: "Step[..., Any]"
    fitted: inspect.BoundArguments
    value: Any
    news: str


def retrace(
    store: Store,
    pipeline: "Pipeline[..., Any]",
    params: Params | Mapping[str, Any] | None = None,
    *,
    effect: Effect,
    folder: Path | None = None,
    ignore: Sequence[Path] = (),
    codecs: Sequence[Codec] = (),
) -> Retraced | None:
    """Execute a pipeline's body until `effect` raises `Reached`; None where it never does.

    Args:
        store: where outputs are.
        pipeline: what is executed.
        params: in place of its defaults.
        effect: asked for each step that is not cached.
        folder: the workspace; the current folder by default.
        ignore: folders inside it that hold no inputs.
        codecs: for values that the built-in ones do not take.

    Raises:
        Invalid: the params are not the pipeline's, or a step gives or takes what cannot be kept.
        Exception: what a step or the body raises.
    """
    told = pipeline_params(pipeline, params)
    digests = Digests(codecs)
    running = Running(Surroundings(store, pipeline.name, folder or Path.cwd(), tuple(ignore)), digests)
    retracing = _Retracing(running, effect)
    try:
        with enter_pipeline(retracing):
            pipeline.function(*([] if told is None else [told]))
    except Reached as reached:
        return Retraced(reached.value, retracing.maker_of(reached.value, digests))
    finally:
        running.settle()
    return None


class _Retracing:
    """The execution as the body's step calls see it (`charkh.pipelines.active.Around`)."""

    def __init__(self, running: Running, effect: Effect) -> None:
        self._running = running
        self._effect = effect
        self._calls: list[_Called] = []

    def call(self, step: "Step[..., Any]", arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        fitted = bound(step, arguments, named)
        if not step.options.cache:
            value = self._effect(step, arguments, named)
            self._calls.append(_Called(step, fitted, value, ""))
            return value
        value = self._running.call(step, arguments, named)
        report = self._running.reports[-1]
        news = "; ".join(report.reasons) if report.outcome == "executed" else ""
        self._calls.append(_Called(step, fitted, value, news))
        return value

    def maker_of(self, value: object, digests: Digests) -> Maker | None:
        """The first call whose output the value is, or is a part of; what a search calls comes before the search."""
        for called in self._calls:
            pick = _way_to(value, called.value)
            if pick is not None:
                return Maker(called, pick, digests)
        return None


def _way_to(value: object, whole: Any) -> Callable[[Any], Any] | None:
    """How a value is taken out of what a step gave; None where it is not in there."""
    if whole is value:
        return lambda given: given
    parts: Mapping[Any, Any] = {}
    if isinstance(whole, Mapping):
        parts = cast("Mapping[Any, Any]", whole)
    elif isinstance(whole, list | tuple):
        parts = dict(enumerate(cast("Sequence[Any]", whole)))
    elif dataclasses.is_dataclass(whole) and not isinstance(whole, type):
        names = [field.name for field in dataclasses.fields(whole) if getattr(whole, field.name, None) is value]
        return (lambda given: getattr(given, names[0])) if names else None
    keys = [key for key, part in parts.items() if part is value]
    return (lambda given: given[keys[0]]) if keys else None
