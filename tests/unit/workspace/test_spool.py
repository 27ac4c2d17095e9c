"""The spool: an ordinary store on this disk, kept until the server has all of it."""

import os
from pathlib import Path

import pytest

from charkh.core.config import Settings, StoreSettings
from charkh.core.errors import Denied
from charkh.runs.start import start
from charkh.stores.exchange_folder import FolderExchange
from charkh.stores.http_connection import HttpConnection
from charkh.stores.journal_folder import FolderJournal
from charkh.workspace import spool as spooling
from charkh.workspace.nearest import open_nearest
from charkh.workspace.shipped import Shipped, note_pack, read_shipped, waiting_packs, write_shipped
from charkh.workspace.shipping import Shipper, tidy
from charkh.workspace.spool import SpooledWorkspace, spool_folder
from charkh.workspace.workspace import Workspace

URL = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of its own, and no process that ships."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(spooling, "start_shipping", Path)


def record_one(folder: Path) -> Path:
    with SpooledWorkspace(folder, Settings(), URL) as workspace:
        run = start(workspace.recording, name="one")
        run.add_artifact("note.txt", b"bytes")
        run.log({"loss": 0.5}, step=1)
        run.end()
        assert workspace.waiting().facts > 0
        return workspace.store_folder


def say_all_is_there(spool: Path) -> None:
    journal = FolderJournal(spool / "journal", "a" * 32)
    write_shipped(spool, Shipped(facts=dict(FolderExchange(journal).known())))
    for name in waiting_packs(spool):
        note_pack(spool, name)


def test_what_is_recorded_waits_without_a_server(tmp_path: Path) -> None:
    spool = record_one(tmp_path)
    assert spool == spool_folder(URL)
    assert waiting_packs(spool)
    assert not tidy(Shipper(spool, HttpConnection(URL, "")))
    assert waiting_packs(spool)


def test_a_spool_that_was_shipped_is_taken_away_and_begun_anew(tmp_path: Path) -> None:
    spool = record_one(tmp_path)
    say_all_is_there(spool)
    with SpooledWorkspace(tmp_path, Settings(), URL):
        assert not tidy(Shipper(spool, HttpConnection(URL, "")))
    assert tidy(Shipper(spool, HttpConnection(URL, "")))
    assert not (spool / "journal").exists()
    assert not (spool / "packs").exists()
    assert record_one(tmp_path) == spool
    assert read_shipped(spool) == Shipped()


def test_the_end_of_a_run_waits_for_no_dead_server_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    patient = Settings(store=StoreSettings(wait="1000h"))
    with SpooledWorkspace(tmp_path, patient, URL) as workspace:
        write_shipped(workspace.store_folder, Shipped(trouble="nobody answers"))
        for name in ("one", "two"):
            start(workspace.recording, name=name).end()
            workspace.run_ended()
    assert [each.getMessage().count("nobody answers") for each in caplog.records] == [1]


def test_what_the_server_does_not_take_is_kept(tmp_path: Path) -> None:
    spool = record_one(tmp_path)
    say_all_is_there(spool)
    write_shipped(spool, Shipped(facts=read_shipped(spool).facts, refused={"pack": "erased"}))
    assert not tidy(Shipper(spool, HttpConnection(URL, "")))
    assert (spool / "packs").exists()


def test_a_folder_that_is_a_workspace_keeps_its_own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARKH_URL", URL)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "charkh.toml").write_text("")
    (tmp_path / "none").mkdir()
    with open_nearest(tmp_path / "own") as own, open_nearest(tmp_path / "none") as far:
        assert (type(own), type(far)) == (Workspace, SpooledWorkspace)
        assert os.listdir(tmp_path / "none") == []  # noqa: PTH208
    (tmp_path / "own" / "charkh.toml").write_text(f'[store]\nurl = "{URL}/other"\n')
    with open_nearest(tmp_path / "own") as told:
        assert isinstance(told, SpooledWorkspace)
        assert told.url == f"{URL}/other"


def test_a_token_is_not_sent_readably(tmp_path: Path) -> None:
    with pytest.raises(Denied, match="not encrypted"):
        SpooledWorkspace(tmp_path, Settings(), "http://example.org")
    assert not (tmp_path / "state").exists()
