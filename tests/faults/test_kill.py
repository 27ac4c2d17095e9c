"""kill -9 at a hundred points of logging, deciding, adding, registering and promoting: nothing acknowledged is lost."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from killing import Fault, Nursery, acknowledged, nursery, spread
from scenarios import BROKEN, SCENARIOS

POINTS = 16
"""For each scenario, besides the last call of every kind."""

pytestmark = pytest.mark.needs("strace")


@pytest.fixture(scope="module")
def cradle() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_acknowledged_is_lost_wherever_the_process_dies(name: str, cradle: Nursery, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    whole = tmp_path / "whole"
    whole.mkdir()
    counts = cradle.count(name, whole)
    scenario.check(whole, acknowledged(whole))
    fired = 0
    for fault in spread(counts, POINTS):
        folder = tmp_path / f"{fault.call}-{fault.number}"
        folder.mkdir()
        killed = cradle.kill(name, folder, fault)
        fired += killed
        # Calls of the background thread and timing may move some calls from one run to the next.
        moved = max(2, counts[fault.call] // 20)
        assert killed or fault.number >= counts[fault.call] - moved, f"{fault} never happened"
        try:
            scenario.check(folder, acknowledged(folder))
        except BaseException as error:
            error.add_note(f"after {fault}; acknowledged: {acknowledged(folder)}")
            raise
    assert fired >= POINTS - 2, "the net has holes: too few faults fired"


def test_the_net_catches_a_program_that_acknowledges_too_early(cradle: Nursery, tmp_path: Path) -> None:
    assert cradle.kill("careless", tmp_path, Fault("write", 6))
    with pytest.raises(AssertionError):
        BROKEN["careless"].check(tmp_path, acknowledged(tmp_path))
