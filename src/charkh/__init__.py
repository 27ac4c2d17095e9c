"""charkh (چرخ, "the wheel"): one system for the whole machine-learning life cycle.

    import charkh

    with charkh.run("first", params={"rate": 0.1}):
        charkh.log(loss=0.3)

Names are imported at their first use, so that `import charkh` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charkh.bridges.autolog.switch import autolog as autolog
    from charkh.core.dimensions import search as search
    from charkh.core.errors import CharkhError as CharkhError
    from charkh.core.params import Params as Params
    from charkh.datasets.split import Split as Split
    from charkh.datasets.table import Table as Table
    from charkh.models.candidate import Candidate as Model
    from charkh.pipelines.pipeline import pipeline as pipeline
    from charkh.pipelines.step import step as step
    from charkh.workspace.ambient import use as use
    from charkh.workspace.ambient import workspace as open_workspace
    from charkh.workspace.recording import log as log
    from charkh.workspace.recording import run as run
    from charkh.workspace.tables import add as add
    from charkh.workspace.tables import check as check
    from charkh.workspace.tables import dataset as dataset
    from charkh.workspace.tables import recipe as recipe
    from charkh.workspace.tables import split as split
    from charkh.workspace.tracing import trace as trace
    from charkh.workspace.training import Registered as Registered
    from charkh.workspace.training import Report as Report
    from charkh.workspace.training import evaluate as evaluate
    from charkh.workspace.training import load as load
    from charkh.workspace.training import log_model as log_model
    from charkh.workspace.training import model as model
    from charkh.workspace.training import register as register
    from charkh.workspace.training import tune as tune

__version__ = "0.1.0"

_HOMES = {
    "CharkhError": "charkh.core.errors:CharkhError",
    "Model": "charkh.models.candidate:Candidate",
    "Params": "charkh.core.params:Params",
    "Registered": "charkh.workspace.training:Registered",
    "Report": "charkh.workspace.training:Report",
    "Split": "charkh.datasets.split:Split",
    "Table": "charkh.datasets.table:Table",
    "add": "charkh.workspace.tables:add",
    "autolog": "charkh.bridges.autolog.switch:autolog",
    "check": "charkh.workspace.tables:check",
    "dataset": "charkh.workspace.tables:dataset",
    "evaluate": "charkh.workspace.training:evaluate",
    "load": "charkh.workspace.training:load",
    "log": "charkh.workspace.recording:log",
    "log_model": "charkh.workspace.training:log_model",
    "model": "charkh.workspace.training:model",
    "open_workspace": "charkh.workspace.ambient:workspace",
    "pipeline": "charkh.pipelines.pipeline:pipeline",
    "recipe": "charkh.workspace.tables:recipe",
    "register": "charkh.workspace.training:register",
    "run": "charkh.workspace.recording:run",
    "search": "charkh.core.dimensions:search",
    "split": "charkh.workspace.tables:split",
    "step": "charkh.pipelines.step:step",
    "trace": "charkh.workspace.tracing:trace",
    "tune": "charkh.workspace.training:tune",
    "use": "charkh.workspace.ambient:use",
}
"""Where each public name is defined."""

__all__ = [
    "CharkhError",
    "Model",
    "Params",
    "Registered",
    "Report",
    "Split",
    "Table",
    "add",
    "autolog",
    "check",
    "dataset",
    "evaluate",
    "load",
    "log",
    "log_model",
    "model",
    "open_workspace",
    "pipeline",
    "recipe",
    "register",
    "run",
    "search",
    "split",
    "step",
    "trace",
    "tune",
    "use",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'charkh' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    value = globals()[name] = getattr(importlib.import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
