"""What `charkh.toml` says about loops: triggers, retraining, the gate and the brakes. Pure data, no I/O."""

import msgspec

from charkh.core.quantities import parse_duration


class LoopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[loop.NAME]`: what triggers retraining, what runs, which gate decides, and the brakes.

    Attributes:
        on: `monitor:NAME`, `dataset:NAME` or `every:7d`.
        run: name of the pipeline that makes a candidate.
        gate: name of the `[gate.NAME]` that decides on promotion.
        cooldown: shortest time between two retrainings, such as `7d`.
        looks: how many candidates a gate may judge on one and the same truth; 0 for no bound.
    """

    on: str
    run: str
    gate: str = "champion"
    cooldown: str = "0s"
    looks: int = 0


def check_loop(settings: LoopSettings) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: a duration cannot be read.
    """
    parse_duration(settings.cooldown)
