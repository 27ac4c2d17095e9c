"""Where a training library's record goes, and how what goes wrong on the way is kept away from the training."""

import contextlib
import json
import logging
import math
import numbers
from collections.abc import Callable, Generator, Iterable, Mapping
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple, cast

from charkh.runs.active import current
from charkh.runs.start import ActiveRun
from charkh.workspace.recording import run
from charkh.workspace.runtimes import installed_runtimes

MAX_TEXT = 500
_log = logging.getLogger("charkh")
_reported: set[str] = set()
_inside: ContextVar[bool] = ContextVar("charkh_autolog_inside", default=False)


class Options(NamedTuple):
    """What is wanted of the recording; `models`: also the trained model."""

    models: bool = False


def quietly(what: str, action: Callable[[], None]) -> None:
    """Do something beside a training; what it raises is reported once for each `what`, and goes no further."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 (whatever a library's next version does differently, the training goes on)
        if what not in _reported:
            _reported.add(what)
            _log.warning("%s failed and is left out: %s: %s", what, type(error).__name__, error)


@contextlib.contextmanager
def recorded(library: str, what: str) -> Generator[ActiveRun | None]:
    """The run that a training is recorded in: the one around it, or one that ends with it.

    A training inside another one that is being recorded, such as those of a search or of a pipeline's parts, is a
    part of that one: then there is None.
    """
    if _inside.get():
        yield None
        return
    token = _inside.set(True)
    around = current()
    try:
        with contextlib.ExitStack() as stack:
            active = around
            if active is None:
                active = _started(stack, what)
            if active is not None:
                tags: dict[str, str | None] = {f"autolog.{library}": _version(library)}
                _quiet_tags(active, tags)
            yield active
    finally:
        _inside.reset(token)


def _started(stack: contextlib.ExitStack, what: str) -> ActiveRun | None:
    started: list[ActiveRun] = []
    quietly("starting a run", lambda: started.append(stack.enter_context(run(what))))
    return started[0] if started else None


def _quiet_tags(active: ActiveRun, tags: Mapping[str, str | None]) -> None:
    quietly("tags of a training", lambda: active.set_tags(tags))


def _version(library: str) -> str:
    names = {"sklearn": "scikit-learn"}
    for name in (names.get(library, library), f"{library}-cpu"):
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return "unknown"


def keep_params(active: ActiveRun, params: Mapping[str, Any], prefix: str = "") -> None:
    """Record params; those that the run already has keep their value, and what has no JSON form is kept as text."""
    chosen = {f"{prefix}{name}": plain(value) for name, value in params.items()}
    quietly("params of a training", lambda: active.set_params(chosen))


def plain(value: Any) -> Any:
    """A value as a param: JSON where it has such a form, else a short text."""
    if value is None or isinstance(value, bool | str):
        return value[:MAX_TEXT] if isinstance(value, str) else value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        items = [plain(each) for each in cast(list[Any], value)]
        return items if len(json.dumps(items)) <= MAX_TEXT else repr(items)[:MAX_TEXT]
    name = getattr(value, "__qualname__", "")
    return str(name) if name else repr(value)[:MAX_TEXT]


def keep_metrics(active: ActiveRun, values: Mapping[str, Any], *, step: int | None = None, context: str = "") -> None:
    """Log the numbers among `values`."""
    numeric = {
        str(name): float(value)
        for name, value in values.items()
        if isinstance(value, numbers.Real) and value is not True and value is not False
    }
    if numeric:
        quietly("metrics of a training", lambda: active.log(numeric, step=step, context=context))


def items_of(mapping: Any) -> Iterable[tuple[str, Any]]:
    """The items of a library's mapping; none where it gave none."""
    return cast(Iterable[tuple[str, Any]], mapping.items()) if mapping else ()


def keep_importances(active: ActiveRun, names: Any, values: Any, kind: str = "importance") -> None:
    """Record how much each feature counts, the greatest first, as a table."""

    def keep() -> None:
        pairs = [(str(name), float(value)) for name, value in zip(names, values, strict=True)]
        pairs = sorted((pair for pair in pairs if math.isfinite(pair[1])), key=lambda pair: -abs(pair[1]))
        if pairs:
            table = {"feature": [name for name, _ in pairs], kind: [value for _, value in pairs]}
            active.log_table("feature_importance", table)

    quietly("importances of a training", keep)


def keep_model(active: ActiveRun, estimator: object, options: Options) -> None:
    """Keep a trained model among the run's artifacts, in the format of the first runtime that knows it."""
    if not options.models:
        return

    def keep() -> None:
        for runtime in installed_runtimes():
            if runtime.accepts(estimator):
                for name, data in runtime.save(estimator).items():
                    active.add_artifact(f"model/{name}", data)
                return
        _log.warning("no installed runtime saves a %s; the model is not kept", type(estimator).__name__)

    quietly("the model of a training", keep)
