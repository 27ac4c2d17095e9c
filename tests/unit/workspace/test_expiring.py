"""Predictions that are older than they are kept are gone, with their bytes; younger ones stay."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from charkh.core.errors import Invalid
from charkh.endpoints.log import PredictionLog
from charkh.endpoints.log_index import SealedSegments
from charkh.endpoints.read import predictions
from charkh.endpoints.seal import seal
from charkh.workspace.expiring import expire
from charkh.workspace.fsck import check_store
from charkh.workspace.workspace import Workspace, open_workspace

DAY = 86400.0


def log_text(workspace: Workspace, text: str) -> None:
    log = PredictionLog(workspace.journal, endpoint="delay", deployment="d" * 32, model=f"model:{'e' * 32}")
    log.record({"email": np.array([text], object)}, {"late": np.array([0.25])}, 1)
    log.close()
    seal(workspace.store)
    workspace.vault.flush()


def test_old_predictions_leave_the_medium(tmp_path: Path) -> None:
    with open_workspace(tmp_path, create=True) as workspace:
        log_text(workspace, os.urandom(30).hex())
        cut = time.time()
        log_text(workspace, "young")
        old, young = workspace.store.queries.ask(SealedSegments(endpoint="delay"))
        assert old.file is not None and young.file is not None
        assert expire(workspace, ["delay"], keep="90d") == ()
        (would,) = expire(workspace, ["delay"], keep="90d", now=cut + 90 * DAY, dry_run=True)
        assert predictions(workspace.store, "delay").height == 2
        (went,) = expire(workspace, ["delay"], keep="90d", now=cut + 90 * DAY)
        assert went == would
        assert (went.segments, went.rows, went.bytes) == ((old.segment,), 1, old.file.size)
        assert predictions(workspace.store, "delay")["email"].to_list() == ["young"]
        assert not workspace.vault.has(old.file.held)
        assert workspace.vault.has(young.file.held)
        assert expire(workspace, ["delay"], keep="90d", now=cut + 90 * DAY) == ()
        assert not check_store(workspace).problems
    with open_workspace(tmp_path) as workspace:
        assert predictions(workspace.store, "delay")["email"].to_list() == ["young"]


def test_an_endpoint_of_which_nothing_says_how_long_is_refused(tmp_path: Path) -> None:
    with open_workspace(tmp_path, create=True) as workspace:
        assert expire(workspace) == ()
        with pytest.raises(Invalid):
            expire(workspace, ["delay"])
