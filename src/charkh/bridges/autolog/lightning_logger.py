"""A Lightning logger that records into charkh, for `lightning.pytorch` and for `pytorch_lightning`.

See https://lightning.ai/docs/pytorch/stable/extensions/logging.html.
"""

import importlib
from collections.abc import Callable
from typing import Any, cast

from charkh.bridges.autolog.patching import put_around
from charkh.bridges.autolog.recording import keep_metrics, keep_params, quietly
from charkh.runs.active import current
from charkh.runs.start import ActiveRun
from charkh.workspace.recording import run as start_run

_CONTEXTS = ("train", "val", "test")


def logger(package: str = "lightning.pytorch", run: ActiveRun | None = None) -> Any:
    """A logger for `Trainer(logger=…)`: it logs to `run`, to the run around it, or to one that it starts.

    Args:
        package: `lightning.pytorch` or `pytorch_lightning`.
        run: where to; it is not ended by the trainer.
    """
    loggers: Any = importlib.import_module(f"{package}.loggers.logger")
    rank_zero: Any = importlib.import_module(f"{package}.utilities.rank_zero")

    class CharkhLogger(loggers.Logger):  # pyright: ignore[reportUntypedBaseClass]
        def __init__(self) -> None:
            super().__init__()
            self._given = run
            self._own: ActiveRun | None = None

        @property
        def name(self) -> str:
            return "charkh"

        @property
        def version(self) -> str:
            active = self._given or current() or self._own
            return active.id if active is not None else ""

        @property
        def experiment(self) -> ActiveRun | None:
            if self._given is not None or current() is not None:
                return self._given or current()
            if self._own is None or self._own.ended:
                started: list[ActiveRun] = []
                quietly("starting a run", lambda: started.append(start_run("lightning")))
                self._own = started[0] if started else None
            return self._own

        @rank_zero.rank_zero_only
        def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
            active = self.experiment
            if active is not None:
                keep_params(active, cast(dict[str, Any], dict(params) if hasattr(params, "keys") else vars(params)))

        @rank_zero.rank_zero_only
        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            active = self.experiment
            if active is None:
                return
            for context, values in _by_context(metrics).items():
                keep_metrics(active, values, step=step, context=context)

        @rank_zero.rank_zero_only
        def finalize(self, status: str) -> None:
            own = self._own
            if own is not None and not own.ended:
                quietly("ending a run", lambda: own.end("finished" if status in {"success", "finished"} else "failed"))

    return CharkhLogger()


def enable_package(package: str) -> Callable[[], None]:
    """Give every trainer of a package the logger as well; the answer undoes it. Checkpoints stay Lightning's own."""
    trainer: Any = importlib.import_module(package).Trainer

    def around(init: Any, this: Any, *arguments: Any, **named: Any) -> None:
        init(this, *arguments, **named)
        quietly("a logger for a trainer", lambda: this.loggers.append(logger(package)))

    return put_around(trainer, "__init__", around)


def _by_context(metrics: Any) -> dict[str, dict[str, Any]]:
    """Metrics by what they were measured on: `val_loss` and `val/loss` are the `loss` of `val`."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        context = next((each for each in _CONTEXTS if name.startswith((f"{each}_", f"{each}/"))), "")
        key = name[len(context) + 1 :] if context else name
        found.setdefault(context, {})[key or name] = float(value)
    return found
