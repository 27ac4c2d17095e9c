"""Lightning's trainers, as `lightning.pytorch`."""

from collections.abc import Callable

from charkh.bridges.autolog.lightning_logger import enable_package
from charkh.bridges.autolog.recording import Options


def enable(_options: Options) -> Callable[[], None]:
    """Record every trainer that is made from now on; the answer undoes it."""
    return enable_package("lightning.pytorch")
