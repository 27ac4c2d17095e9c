"""The token of a store: one for all who make it at once, for its owner's eyes, and never none."""

from pathlib import Path

import pytest

from charkh.core.errors import Unavailable
from charkh.workspace.token import token_of


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    token = token_of(tmp_path)
    assert len(token) > 40
    assert token_of(tmp_path) == token
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_a_file_without_a_token_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    with pytest.raises(Unavailable, match="holds no token"):
        token_of(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot write or read"):
        token_of(tmp_path / "nowhere")
