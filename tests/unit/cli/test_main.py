"""The frame of the command line: errors as text or JSON, exit codes, interruptions, and where it works."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from charkh.cli import main as framework
from charkh.cli.exit_codes import EXIT_CODES, exit_code
from charkh.cli.main import NOUNS, main
from charkh.cli.opening import VARIABLE, starting_folder
from charkh.core.errors import CharkhError, Corrupt, NotFound, Unavailable, error_classes


class Failing:
    """A command line that raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, *_given: Any, **_named: Any) -> None:
        raise self.error


def exited(monkeypatch: pytest.MonkeyPatch, error: BaseException, *arguments: str) -> int:
    monkeypatch.setattr(framework, "command_line", lambda _given: Failing(error))
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_has_its_exit_code_and_no_traceback(
    kind: type[CharkhError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exited(monkeypatch, kind("it went wrong", hint="do this")) == EXIT_CODES[kind]
    assert capsys.readouterr().err == "error: it went wrong\n  hint: do this\n"


def test_an_error_without_a_hint_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exited(monkeypatch, Corrupt("it went wrong"))
    assert capsys.readouterr().err == "error: it went wrong\n"


def test_an_error_is_json_where_json_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = NotFound("there is none", code="x.not_found", hint="look", facts={"where": Path("/x"), "count": 2})
    assert exited(monkeypatch, error, "model", "list", "--json") == 13
    assert json.loads(capsys.readouterr().err) == {
        "code": "x.not_found",
        "message": "there is none",
        "hint": "look",
        "facts": {"where": "/x", "count": 2},
    }


def test_a_missing_workspace_has_a_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["model", "list"])
    assert caught.value.code == 10
    assert "charkh init" in capsys.readouterr().err
    assert exit_code(NotFound("x")) == 13


def test_an_interruption_says_that_what_was_done_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exited(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted; what was done is kept\n"


def test_an_interrupted_command_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()

    @app.command()
    def wait() -> None:  # pyright: ignore[reportUnusedFunction]
        raise KeyboardInterrupt

    def command_line(_given: Sequence[str]) -> typer.Typer:
        return app

    monkeypatch.setattr(framework, "command_line", command_line)
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted; what was done is kept\n"


@pytest.mark.parametrize("kind", [PermissionError, IsADirectoryError, FileNotFoundError])
def test_a_file_that_the_system_does_not_give_is_no_bug(
    kind: type[OSError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exited(monkeypatch, kind(13, "No way", "some/where.json")) == EXIT_CODES[Unavailable]
    said = capsys.readouterr().err
    assert said.startswith("error: cannot use some/where.json: No way\n  hint: ")
    assert exited(monkeypatch, OSError("no file is to blame")) == 1


def test_a_bug_has_an_id_and_its_traceback_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exited(monkeypatch, ZeroDivisionError("by zero")) == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError: by zero [" in said
    assert "Traceback" not in said
    monkeypatch.setenv("CHARKH_TRACEBACK", "1")
    exited(monkeypatch, ZeroDivisionError("by zero"))
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["model", "nonsense"], ["up", "--port", "many"], ["up", "--x"]])
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_line_of_help_is_wrapped_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["dataset", "--help"])
    said = " ".join(capsys.readouterr().out.partition("Commands")[2].split())
    assert "..." not in said
    assert "diff Show what differs between two versions: files, or rows and cells." in said


def test_help_names_every_noun_and_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said for name in [*NOUNS, "init", "up", "serve", "doctor", "fsck", "gc", "trace"])
    assert "..." not in said.partition("Commands")[2], "every line of help fits"


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"charkh {version('charkh')}\n"


def test_a_folder_is_named_in_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "")
        with pytest.raises(SystemExit):
            main(["-C", str(other), "init"])
        assert starting_folder() == other
        with pytest.raises(SystemExit):
            main(["--workspace", str(other), "dataset", "list", "--json"])
    assert (other / "charkh.toml").exists()
    assert list(tmp_path.iterdir()) == [other]
    assert capsys.readouterr().out.endswith("[]\n")
