"""Where settings come from: the file, the project's file, the environment; and what is said when they are wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.config import Settings
from charkh.core.errors import Invalid, NotFound
from charkh.workspace.settings import ENVIRONMENT, find_workspace, read_settings, require_workspace


def test_no_file_is_needed(tmp_path: Path) -> None:
    assert read_settings(tmp_path, {}) == Settings()


def test_the_environment_stands_above_the_file(tmp_path: Path) -> None:
    (tmp_path / "charkh.toml").write_text('[store]\npath = "mine"\n[server]\nport = 1234\n')
    assert read_settings(tmp_path, {}).store.path == "mine"
    given_by_all = {
        "CHARKH_STORE": "/elsewhere",
        "CHARKH_STORE_JOURNAL": "postgresql://ann@db/charkh",
        "CHARKH_STORE_BLOBS": "s3://bucket/charkh",
        "CHARKH_STORE_WAIT": "3s",
        "CHARKH_SERVER_HOST": "::1",
        "CHARKH_SERVER_PORT": "4321",
    }
    assert set(given_by_all) == set(ENVIRONMENT)
    settings = read_settings(tmp_path, given_by_all)
    assert (settings.store.path, settings.store.journal, settings.store.blobs) == (
        "/elsewhere",
        "postgresql://ann@db/charkh",
        "s3://bucket/charkh",
    )
    assert (settings.server.host, settings.server.port) == ("::1", 4321)
    assert read_settings(tmp_path, {"CHARKH_STORE": "", "OTHER": "x"}).store.path == "mine", "empty says nothing"


def test_a_number_in_the_environment_is_a_number(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="CHARKH_SERVER_PORT is 'http', not a number"):
        read_settings(tmp_path, {"CHARKH_SERVER_PORT": "http"})


def test_the_projects_file_will_do(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "x"\n[tool.charkh]\npipelines = "flows.py"\n')
    assert read_settings(tmp_path, {}).pipelines == "flows.py"
    assert find_workspace(tmp_path / "src" / "x") == tmp_path
    (tmp_path / "charkh.toml").write_text("")
    with pytest.raises(Invalid, match=r"both charkh\.toml and"):
        read_settings(tmp_path, {})
    project.write_text('[project]\nname = "x"\n')
    assert read_settings(tmp_path, {}) == Settings()


@pytest.mark.parametrize(
    ("text", "said", "nearest"),
    [
        ("[sever]\nport = 1\n", "sever", "server"),
        ("[server]\nprot = 1\n", "prot", "port"),
        ('[endpoint.delay]\nmodel = "x"\ncaptur = 1\n', "captur", "capture"),
        ('[loop.delay]\non = "every:1d"\nrun = "x"\ncoolown = "1d"\n', "coolown", "cooldown"),
    ],
)
def test_an_unknown_key_names_the_nearest_right_one(tmp_path: Path, text: str, said: str, nearest: str) -> None:
    (tmp_path / "charkh.toml").write_text(text)
    with pytest.raises(Invalid) as caught:
        read_settings(tmp_path, {})
    assert said in caught.value.message
    assert nearest in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "[server\n",
        '[server]\nport = "many"\n',
        "[endpoint.delay]\ncapture = 0.5\n",
        '[gate.champion]\nrequire = ["auc >>> 1"]\n',
        '[monitor.delay]\nalert = ["psi is high"]\n',
        '[loop.delay]\non = "every:1d"\nrun = "x"\ncooldown = "soon"\n',
    ],
)
def test_what_settings_cannot_be_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "charkh.toml").write_text(text)
    with pytest.raises(Invalid) as caught:
        read_settings(tmp_path, {})
    assert caught.value.hint


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "charkh.toml").write_bytes(b"\xff\xfe[server]")
    with pytest.raises(Invalid, match=r"charkh\.toml cannot be read"):
        read_settings(tmp_path, {})


@given(st.binary(max_size=60))
def test_whatever_stands_in_the_file_ends_in_settings_or_a_helpful_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "charkh.toml").write_bytes(data)
    try:
        assert isinstance(read_settings(folder, {}), Settings)
    except Invalid as error:
        assert error.hint


def test_the_workspace_is_the_nearest_folder_upwards(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with pytest.raises(NotFound) as caught:
        require_workspace(inner)
    assert caught.value.code == "workspace.not_found"
    (tmp_path / "charkh.toml").write_text("")
    assert require_workspace(inner) == tmp_path
    (tmp_path / "a" / ".charkh").mkdir()
    assert require_workspace(inner) == tmp_path / "a", "a store is a workspace without any file"
