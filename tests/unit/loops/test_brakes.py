"""What holds a loop back: a cooldown, and a bound on looks at one truth."""

from collections.abc import Sequence

import pytest

from charkh.core.loop_settings import LoopSettings
from charkh.loops.brakes import cooling, looked_enough
from charkh.loops.loop import Decided, Decision, Outcome

DAY = 86400.0


def decided(outcome: Outcome, day: float) -> Decision:
    said = Decided(loop="delay", decision="d", outcome=outcome, reason="", moment=day * DAY)
    return Decision(decided=said, actor="ann", at=0.0, stamp="")


def settings(**more: object) -> LoopSettings:
    return LoopSettings(on="every:1d", run="flights", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("history", "day", "held"),
    [
        ([], 0.0, False),
        ([decided("promoted", 10)], 16.9, True),
        ([decided("promoted", 10)], 17.0, False),
        ([decided("refused", 10)], 11.0, True),
        ([decided("failed", 10)], 11.0, True),
        ([decided("braked", 10)], 11.0, False),
        ([decided("braked", 16), decided("refused", 10)], 16.5, True),
        ([decided("braked", 18), decided("refused", 10)], 18.5, False),
    ],
)
def test_only_a_retraining_cools(history: Sequence[Decision], day: float, held: bool) -> None:
    reason = cooling(settings(cooldown="7d"), history, day * DAY)
    assert bool(reason) is held
    assert not held or "the cooldown is 7d" in reason


def test_a_reason_says_how_long_ago() -> None:
    history = [decided("refused", 1)]
    assert "2.0 days ago" in cooling(settings(cooldown="7d"), history, 3 * DAY)
    assert "3.0 hours ago" in cooling(settings(cooldown="7d"), history, DAY + 3 * 3600)
    assert "2 minutes ago" in cooling(settings(cooldown="7d"), history, DAY + 125)


def test_looks_at_one_truth_are_bounded() -> None:
    assert looked_enough(settings(looks=2), 1) == ""
    assert "2 candidates were already judged on this truth" in looked_enough(settings(looks=2), 2)
    assert looked_enough(settings(), 1000) == "", "0 is no bound"
