"""Scripts that were written for Weights & Biases, recorded here: `import charkh.bridges.wandb as wandb`.

What such a script asks of the module is found in the modules beside this one, when it is asked for; a name that is not
carried raises an error that says what to use instead.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charkh.bridges.wandb.artifact import Artifact as Artifact
    from charkh.bridges.wandb.run_record import Run as Run
    from charkh.bridges.wandb.session import Settings as Settings
    from charkh.bridges.wandb.session import alert as alert
    from charkh.bridges.wandb.session import define_metric as define_metric
    from charkh.bridges.wandb.session import finish as finish
    from charkh.bridges.wandb.session import init as init
    from charkh.bridges.wandb.session import log as log
    from charkh.bridges.wandb.session import log_artifact as log_artifact
    from charkh.bridges.wandb.session import login as login
    from charkh.bridges.wandb.session import save as save
    from charkh.bridges.wandb.session import unwatch as unwatch
    from charkh.bridges.wandb.session import use_artifact as use_artifact
    from charkh.bridges.wandb.session import watch as watch
    from charkh.bridges.wandb.values import Audio as Audio
    from charkh.bridges.wandb.values import Histogram as Histogram
    from charkh.bridges.wandb.values import Html as Html
    from charkh.bridges.wandb.values import Image as Image
    from charkh.bridges.wandb.values import Plotly as Plotly
    from charkh.bridges.wandb.values import Table as Table
    from charkh.bridges.wandb.values import Video as Video

    run: Run | None
    config: Any
    summary: Any


def __getattr__(name: str) -> Any:
    from charkh.bridges.wandb.session import lookup

    return lookup(name)
