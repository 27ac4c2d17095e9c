"""Which endpoints answer: those whose model is there, each by itself."""

import logging

import pytest

from charkh.core.errors import Corrupt
from charkh.server.offering import Offering
from charkh.workspace.serving import Serving
from charkh.workspace.workspace import Workspace


def test_a_model_that_is_not_there_is_named_once_and_keeps_nobody_else_back(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    offering = Offering(workspace)
    with caplog.at_level(logging.WARNING, "charkh.server"):
        first, second = offering().servables, offering().servables
    assert [each.name for each in first] == ["delay"]
    assert first[0] is second[0]
    assert caplog.text.count("endpoint later: there is no model") == 1


def test_what_answered_goes_on_when_it_cannot_be_looked_up(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    offering = Offering(workspace)
    (before,) = offering().servables

    def broken(_self: Serving) -> None:
        raise Corrupt("the pack is damaged")

    with monkeypatch.context() as patch:
        patch.setattr(Serving, "offer", broken)
        assert offering().servables == (before,)
        assert "endpoint delay: the pack is damaged" in caplog.text
    assert offering().servables == (before,)
