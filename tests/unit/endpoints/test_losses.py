"""Losses are counted one by one, and said once when they begin and once when they are over."""

import pytest

from charkh.endpoints.losses import Losses


def test_losses_are_counted_and_told_of_twice(caplog: pytest.LogCaptureFixture) -> None:
    losses = Losses("endpoint:delay")
    losses.add(2)
    told: list[int] = []
    losses.tell(told.append)
    losses.tell(lambda _: pytest.fail("somebody is told already"))
    for episode in (1, 2):
        for _ in range(3):
            losses.begin("the disk is full")
            losses.add(episode)
        assert losses.going_on
        for _ in range(3):
            losses.over()
    assert told == [2, 1, 1, 1, 2, 2, 2]
    assert losses.count == sum(told)
    assert [each.getMessage() for each in caplog.records] == [
        "predictions of endpoint:delay are not logged: the disk is full",
        "predictions of endpoint:delay are logged again; 3 requests were not",
        "predictions of endpoint:delay are not logged: the disk is full",
        "predictions of endpoint:delay are logged again; 6 requests were not",
    ]
