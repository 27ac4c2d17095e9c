"""What commands print: JSON, tables for people and for pipes, sizes and times, and progress only on a terminal."""

import io
import json
import math
import sys
from datetime import datetime
from typing import Any

import msgspec
import pytest
import typer

from charkh.cli import output
from charkh.cli.output import (
    progress,
    shown,
    shown_size,
    shown_time,
    write_json,
    write_note,
    write_pairs,
    write_table,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Row(msgspec.Struct):
    name: str
    score: float


def test_json_says_what_json_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    write_json([Row("a", math.nan), Row("b", math.inf), Row("ç", 0.5)])
    told = capsys.readouterr().out
    assert json.loads(told) == [
        {"name": "a", "score": "nan"},
        {"name": "b", "score": "inf"},
        {"name": "ç", "score": 0.5},
    ]
    assert told.count("\n") > 3, "a person can read it"


def test_a_table_on_a_pipe_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(["name", "score"], [["a\tb\nc", 0.123456789], [None, True]])
    assert capsys.readouterr().out == "name\tscore\na b c\t0.123457\n\tyes\n"
    write_table(["name"], [])
    assert capsys.readouterr().out == "name\n", "a program still reads the header"


def test_a_table_on_a_terminal_is_aligned_and_says_when_it_is_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    write_table(["name", "score"], [["[bold]x[/bold]", 1], ["longer name", 22]])
    assert "[bold]x[/bold]" in screen.getvalue(), "nothing is taken for markup"
    assert [len(line.rstrip()) for line in screen.getvalue().splitlines()[1:]] == [21, 21], "numbers end in one column"
    write_table(["name"], [], empty="none yet")
    assert "none yet" in capsys.readouterr().err


def test_an_id_is_never_broken_where_a_sentence_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "60")
    identifier = "0123456789abcdef" * 2
    write_table(["id", "what"], [[identifier, "a sentence that is longer than the screen is wide"]])
    assert identifier in screen.getvalue()
    monkeypatch.setenv("COLUMNS", "20")
    write_table(["id", "what"], [[identifier, "word"]])
    shown = "".join(line.partition(" ")[0] for line in screen.getvalue().splitlines()[-4:])
    assert identifier in shown, "on a narrow screen it is broken, and nothing is cut off"


@pytest.mark.parametrize("width", [60, 72, 76, 80, 100, 120])
def test_a_time_stays_in_its_line_before_a_sentence_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    cells = [
        "flights@2~ann",
        3,
        "2026-11-25 17:47:49",
        "0123456789abcdef" * 2,
        "merged what flights@2~bob and others had",
    ]
    write_table(["version", "new files", "added", "id", "message"], [cells])
    lines = screen.getvalue().splitlines()
    if width >= 72:
        assert any("flights@2~ann  " in line for line in lines)
    if width >= 76:
        assert any("2026-11-25 17:47:49" in line for line in lines)
    kept = "".join(lines[2:]).replace(" ", "")
    assert len(kept) == sum(len(str(cell).replace(" ", "")) for cell in cells)


def test_pairs_are_aligned_over_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    write_pairs([("a", "one\ntwo"), ("longer", 3), ("none", None)])
    assert capsys.readouterr().out == "a       one\n        two\nlonger  3\nnone    \n"
    write_pairs([])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (False, "no"),
        (1234567.0, "1.23457e+06"),
        (["a", 1, None], "a, 1, "),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02 03:04:05"),
        ("x", "x"),
    ],
)
def test_cells_as_people_read_them(value: Any, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**3, "5.0 GiB"), (1024**5, "1024.0 TiB")],
)
def test_sizes_have_units(count: float, text: str) -> None:
    assert shown_size(count) == text


def test_times_are_local() -> None:
    assert shown_time(None) == ""
    assert shown_time(0.0) == datetime.fromtimestamp(0).strftime("%Y-%m-%d %H:%M:%S")


def test_progress_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", 10) as advance:
        advance(5)
    write_note("done")
    assert capsys.readouterr().err == "done\n"
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress("reading", 2048, "bytes") as advance:
        advance(1024)
    assert "reading: 1.0 KiB 50%" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[2K"), "the line is wiped at the end"
    monkeypatch.setenv("TERM", "dumb")
    plain = Terminal()
    monkeypatch.setattr(sys, "stderr", plain)
    with progress("reading") as advance:
        advance(1)
    assert plain.getvalue() == ""


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return 99

    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(output.os, "dup2", lambda _from, _to: 99)
    with pytest.raises(typer.Exit) as caught:
        output.write_line("x")
    assert caught.value.exit_code == 141
