"""Another seed in the arguments of a training, and in the generators that libraries share."""

import random

import numpy as np
import pytest

import charkh
from charkh.core.errors import Invalid
from charkh.workspace.reseeding import reseed, seeded


class Trees(charkh.Params):
    leaves: int = 31
    random_state: int = 0


class Told(charkh.Params):
    rate: float = 0.1
    seed: int | None = None
    shuffle: bool = True
    trees: Trees = Trees()


def test_what_is_called_a_seed_gets_another_wherever_it_stands() -> None:
    found = reseed({"data": "rows", "seed": 1, "p": Told()}, 7)
    assert found.names == ("seed", "p.seed", "p.trees.random_state")
    assert found.arguments == {"data": "rows", "seed": 7, "p": Told(seed=7, trees=Trees(random_state=7))}
    assert reseed({"rate": 0.1, "n_seeds": 4, "seed": "text"}, 7).names == ()


@pytest.mark.parametrize(
    ("name", "names"),
    [("seed", ("p.seed",)), ("trees.random_state", ("p.trees.random_state",)), ("leaves", ("p.trees.leaves",))],
)
def test_a_name_says_which(name: str, names: tuple[str, ...]) -> None:
    assert reseed({"p": Told()}, 7, name).names == names


@pytest.mark.parametrize("name", ["sed", "rate", "shuffle", "eaves"])
def test_a_name_that_no_whole_number_has_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match=f"no whole number named '{name}'"):
        reseed({"p": Told()}, 7, name)


def draws() -> tuple[float, float]:
    return random.random(), float(np.random.random())


def test_shared_generators_are_seeded_and_go_on_afterwards_as_if_nothing_had_been() -> None:
    with seeded(3):
        first = draws()
    before, numpy = random.getstate(), np.random.get_state()
    expected = draws()
    random.setstate(before)
    np.random.set_state(numpy)
    with seeded(3):
        assert draws() == first
    with seeded(4):
        assert draws() != first
    assert draws() == expected
