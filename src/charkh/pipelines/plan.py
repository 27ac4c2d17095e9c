"""Plan a pipeline: what would be reused, what executed and why, without executing any step."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

import msgspec

from charkh.core.params import Params
from charkh.pipelines.active import enter_pipeline
from charkh.pipelines.cache import Cache
from charkh.pipelines.digests import Digests
from charkh.pipelines.execution import shown_parts
from charkh.pipelines.explain import FORCED, explain
from charkh.pipelines.index import StepsNamed
from charkh.pipelines.key import bound, keyed
from charkh.pipelines.pipeline import Pipeline
from charkh.pipelines.run import pipeline_params
from charkh.pipelines.running import NOT_CACHED, is_forced
from charkh.pipelines.step import Step
from charkh.pipelines.values import Codec
from charkh.ports.store import Store

Verdict = Literal["reuse", "execute", "unknown"]


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one step call.

    Attributes:
        name: `module:qualname` of the function.
        verdict: its output would be reused, it would be executed, or that depends on an output that is not there yet.
        reasons: why.
    """

    name: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()

    @property
    def short_name(self) -> str:
        """The function's name alone."""
        return self.name.rpartition(":")[2]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do, as far as it can be seen.

    Attributes:
        pipeline: its name.
        steps: the step calls in order.
        blind: why nothing can be said of what comes behind them; empty when the whole was seen.
    """

    pipeline: str
    steps: tuple[PlannedStep, ...]
    blind: str = ""


class Unknown:
    """The output of a step that has not been executed; parts of it are unknown too."""

    def __init__(self, maker: str) -> None:
        self._charkh_maker = maker

    def __getattr__(self, name: str) -> "Unknown":
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(self._charkh_maker)

    def __getitem__(self, _key: object) -> "Unknown":
        return Unknown(self._charkh_maker)

    def __call__(self, *_arguments: object, **_named: object) -> "Unknown":
        return Unknown(self._charkh_maker)

    def __repr__(self) -> str:
        return f"<output of {self._charkh_maker}>"

    def _needed(self, *_others: object) -> NoReturn:
        raise _Blind(self._charkh_maker)

    __bool__ = __iter__ = __len__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _needed
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _needed
    __neg__ = __abs__ = __int__ = __float__ = __index__ = __contains__ = __enter__ = __hash__ = _needed


class _Blind(BaseException):
    """The pipeline's own code looks at an output that is not there; no `except Exception` may hide that."""

    def __init__(self, maker: str) -> None:
        super().__init__(maker)
        self.maker = maker


def plan(
    store: Store,
    pipeline: "Pipeline[..., Any]",
    params: Params | Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    codecs: Sequence[Codec] = (),
    force: Collection[str] = (),
) -> Plan:
    """What running the pipeline would do; its body is executed, none of its steps.

    Args:
        store: where outputs and events are.
        pipeline: what is planned.
        params: in place of its defaults.
        folder: the workspace; the current folder by default.
        codecs: for values that the built-in ones do not take.
        force: names of steps that would be executed again.

    Raises:
        Invalid: the params are not the pipeline's, or a step takes what cannot be kept.
        Exception: what the body raises before it has seen an unknown output.
    """
    told = pipeline_params(pipeline, params)
    planning = _Planning(store, Digests(codecs), folder or Path.cwd(), force)
    blind = ""
    try:
        with enter_pipeline(planning):
            pipeline.function(*([] if told is None else [told]))
    except _Blind as error:
        blind = f"the pipeline itself looks at the output of {error.maker}"
    except Exception as error:
        if not planning.unknown:
            raise
        # Code that was handed a stand-in for an output may fail in any way; that is not the user's mistake.
        blind = f"the pipeline itself works with the output of {planning.unknown} ({type(error).__name__})"
    return Plan(pipeline=pipeline.name, steps=tuple(planning.steps), blind=blind)


class _Planning:
    def __init__(self, store: Store, digests: Digests, folder: Path, force: Collection[str]) -> None:
        self.steps: list[PlannedStep] = []
        self.unknown = ""
        self._store = store
        self._digests = digests
        self._folder = folder
        self._force = force
        self._cache = Cache(store, digests, folder)

    def call(self, step: "Step[..., Any]", arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        fitted = bound(step, arguments, named)
        makers = list(dict.fromkeys(_makers_in([*fitted.arguments.values()])))
        if not step.options.cache:
            return self._note(step, "execute", (NOT_CACHED,))
        if makers:
            return self._note(step, "unknown", tuple(f"depends on {maker}" for maker in makers))
        if is_forced(step.name, self._force):
            return self._note(step, "execute", (FORCED,))
        parts = keyed(step, fitted.arguments, self._digests, self._folder).parts
        found = self._cache.find(parts.key)
        if found.record is None:
            former = self._store.queries.ask(StepsNamed(name=step.name))
            return self._note(step, "execute", found.troubles or explain(shown_parts(parts), former))
        self.steps.append(PlannedStep(name=step.name, verdict="reuse"))
        return found.value

    def _note(self, step: "Step[..., Any]", verdict: Verdict, reasons: tuple[str, ...]) -> Unknown:
        self.steps.append(PlannedStep(name=step.name, verdict=verdict, reasons=reasons))
        self.unknown = step.name.rpartition(":")[2]
        return Unknown(self.unknown)


def _makers_in(value: object, depth: int = 0) -> list[str]:
    if isinstance(value, Unknown):
        return [repr(value).removeprefix("<output of ").removesuffix(">")]
    items: Sequence[object] = ()
    if isinstance(value, Mapping):
        items = list(cast("Mapping[object, object]", value).values())
    elif isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
    return [maker for item in items if depth < 10 for maker in _makers_in(item, depth + 1)]
