"""Keras's trainings: a `keras.callbacks.Callback`, added to every `Model.fit`, whatever its backend.

See https://keras.io/api/callbacks/.
"""

import importlib
from collections.abc import Callable
from typing import Any, cast

from charkh.bridges.autolog.patching import put_around
from charkh.bridges.autolog.recording import Options, items_of, keep_metrics, keep_model, keep_params, quietly, recorded
from charkh.runs.active import current
from charkh.runs.start import ActiveRun


def callback(run: ActiveRun | None = None) -> Any:
    """A callback that logs the metrics of each epoch to `run`, or to the run around the training."""
    callbacks: Any = importlib.import_module("keras.callbacks")

    class LogEpochs(callbacks.Callback):  # pyright: ignore[reportUntypedBaseClass]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            active = run or current()
            if active is not None:
                values: dict[str, Any] = {name: float(value) for name, value in items_of(logs)}
                seen = {name.removeprefix("val_"): value for name, value in values.items() if name.startswith("val_")}
                mine = {name: value for name, value in values.items() if not name.startswith("val_")}
                keep_metrics(active, mine, step=epoch)
                keep_metrics(active, seen, step=epoch, context="val")

    return LogEpochs()


def enable(options: Options) -> Callable[[], None]:
    """Record every `fit` of Keras's models from now on; the answer undoes it."""
    trainers: Any = importlib.import_module("keras.models").Model

    def around(fit: Any, model: Any, *arguments: Any, **named: Any) -> Any:
        with recorded("keras", model.name) as active:
            target = active or current()
            if target is None or len(arguments) > 5:  # callbacks given by place are left to the caller
                return fit(model, *arguments, **named)
            quietly("params of a training", lambda: keep_params(target, _params(model, named)))
            given: Any = named.pop("callbacks", None) or []
            if isinstance(given, list | tuple):
                given = [*cast(list[Any], given), callback(target)]
            else:
                given.append(callback(target))
            history = fit(model, *arguments, callbacks=given, **named)
            quietly("summary of a model", lambda: _keep_summary(target, model))
            keep_model(target, model, options)
            return history

    return put_around(trainers, "fit", around)


def _params(model: Any, named: dict[str, Any]) -> dict[str, Any]:
    optimizer = getattr(model, "optimizer", None)
    config: dict[str, Any] = optimizer.get_config() if optimizer is not None else {}
    chosen = {
        name: named[name] for name in ("epochs", "batch_size", "validation_split", "steps_per_epoch") if name in named
    }
    return {
        **chosen,
        "parameters": model.count_params() if model.built else None,
        **{f"optimizer.{k}": v for k, v in config.items()},
    }


def _keep_summary(active: ActiveRun, model: Any) -> None:
    lines: list[str] = []

    def keep_line(line: str, **_: Any) -> None:
        lines.append(line)

    model.summary(print_fn=keep_line)
    active.log_text("model_summary", "\n".join(lines))
