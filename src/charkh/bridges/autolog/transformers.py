"""Transformers' trainers: a `TrainerCallback`, added to every `Trainer`.

See https://huggingface.co/docs/transformers/main_classes/callback.
"""

import importlib
from collections.abc import Callable
from typing import Any

from charkh.bridges.autolog.patching import put_around
from charkh.bridges.autolog.recording import Options, keep_metrics, keep_model, keep_params, quietly
from charkh.runs.active import current
from charkh.runs.start import ActiveRun
from charkh.workspace.recording import run as start_run

_TOTALS = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "train_loss")


def callback(run: ActiveRun | None = None, options: Options | None = None) -> Any:
    """A callback that logs to `run`, to the run around the training, or to one of its own that ends with it."""
    library: Any = importlib.import_module("transformers")

    class LogTraining(library.TrainerCallback):  # pyright: ignore[reportUntypedBaseClass]
        def __init__(self) -> None:
            self._own: ActiveRun | None = None

        def on_train_begin(self, args: Any, state: Any, _control: Any, model: Any = None, **_: Any) -> None:
            if not state.is_world_process_zero:
                return
            if run is None and current() is None:
                started: list[ActiveRun] = []
                quietly("starting a run", lambda: started.append(start_run(str(args.run_name or "transformers"))))
                self._own = started[0] if started else None
            active = self._active()
            if active is not None:
                keep_params(active, args.to_sanitized_dict())
                config = getattr(model, "config", None)
                if config is not None:
                    keep_params(active, config.to_dict(), "model.")

        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            active = self._active()
            if active is None or not state.is_world_process_zero:
                return
            for context, values in _by_context(logs or {}).items():
                keep_metrics(active, values, step=state.global_step, context=context)

        def on_train_end(self, _args: Any, state: Any, _control: Any, model: Any = None, **_: Any) -> None:
            active = self._active()
            if active is not None and state.is_world_process_zero and options is not None:
                keep_model(active, model, options)
            own = self._own
            if own is not None:
                quietly("ending a run", own.end)

        def _active(self) -> ActiveRun | None:
            return run or self._own or current()

    return LogTraining()


def enable(options: Options) -> Callable[[], None]:
    """Record every `Trainer` that is made from now on; the answer undoes it."""
    trainer: Any = importlib.import_module("transformers").Trainer

    def around(init: Any, this: Any, *arguments: Any, **named: Any) -> None:
        init(this, *arguments, **named)
        quietly("a callback for a trainer", lambda: this.add_callback(callback(options=options)))

    return put_around(trainer, "__init__", around)


def _by_context(logs: Any) -> dict[str, dict[str, Any]]:
    """What was logged, by what it was measured on: `eval_loss` is the `loss` of `eval`."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in logs.items():
        if name in _TOTALS or not name.startswith(("eval_", "test_")):
            found.setdefault("", {})[name] = value
        else:
            context, _, key = name.partition("_")
            found.setdefault(context, {})[key] = value
    return found
