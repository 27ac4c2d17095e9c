"""Rates and guesses, by a clock of the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from charkh.users.throttle import FORGIVEN_AFTER, LONGEST_PAUSE, MAX_KEYS, Guesses, Throttle


class Hand:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_the_rate() -> None:
    hand = Hand()
    throttle = Throttle(10.0, 5, hand)
    assert [throttle.take("a") for _ in range(5)] == [0.0] * 5
    wait = throttle.take("a")
    assert 0 < wait <= 0.1
    assert throttle.take("b") == 0.0, "another client is not made to wait"
    hand.now += wait
    assert throttle.take("a") == 0.0
    assert throttle.take("a") > 0
    assert Throttle(0.0, 1, hand).take("a") == 0.0


@given(st.lists(st.floats(0.0, 2.0), max_size=60))
def test_no_more_pass_than_the_bucket_holds(gaps: list[float]) -> None:
    hand = Hand()
    throttle = Throttle(3.0, 4, hand)
    passed = 0
    for gap in gaps:
        hand.now += gap
        passed += throttle.take("a") == 0.0
    assert passed <= 4 + 3.0 * sum(gaps) + 1e-6


def test_guesses_cost_more_and_more_and_never_for_good() -> None:
    hand = Hand()
    guesses = Guesses(hand)
    pauses: list[float] = []
    for _ in range(20):
        guesses.wrong("a")
        pauses.append(guesses.pause("a"))
        hand.now += pauses[-1]
        assert guesses.pause("a") == 0.0, "who waited may try again"
    assert pauses[:10] == [0.0] * 10
    assert pauses[10:13] == [1.0, 2.0, 4.0]
    assert max(pauses) == LONGEST_PAUSE
    assert guesses.pause("b") == 0.0
    guesses.wrong("a")
    hand.now += FORGIVEN_AFTER + 1
    assert guesses.pause("a") == 0.0
    guesses.wrong("a")
    assert guesses.pause("a") == 0.0, "silence forgives the earlier ones"


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle(1.0, 1, Hand())
    throttle.take("first")
    for number in range(MAX_KEYS):
        throttle.take(str(number))
    assert throttle.take("first") == 0.0
