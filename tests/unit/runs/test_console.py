"""What a run prints: heard, bounded, without credentials, read live and sealed; printing itself is never disturbed."""

import contextlib
import io
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Corrupt, Unavailable
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import HeldDigests
from charkh.ports.store import Store
from charkh.runs import console_log
from charkh.runs.console import (
    BLOCK_LINES,
    MAGIC,
    PrintedLine,
    collect_lines,
    decode_console_blob,
    encode_console_blob,
    follow_console,
    read_console,
)
from charkh.runs.console_capture import capture, release
from charkh.runs.console_log import ConsoleLog
from charkh.runs.held import PROJECTION as HELD
from charkh.runs.held import ConsoleOf
from charkh.runs.index import PROJECTION
from charkh.runs.start import start
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.journal_memory import MemoryJournal
from charkh.testing.children import in_child
from charkh.testing.stores import memory_store

RUN = "01" * 16


def say(text: object) -> None:
    """As `print` does."""
    sys.stdout.write(f"{text}\n")


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, HELD, LINEAGE)


def texts(store: Store, run: str) -> list[tuple[str, str]]:
    return [(line.stream, line.text) for line in read_console(store, run)]


def printed(*parts: str, stream: int = 0) -> list[str]:
    """The lines that come of printing these parts."""
    journal: Any = MemoryJournal()
    log = ConsoleLog(journal, RUN, "0")
    for part in parts:
        log.print(stream, part)
    (segment,) = log.close()[0] or ("",)
    payloads = [record.payload for record in journal.read_data(segment)] if segment else []
    return [line.text for line in collect_lines(payloads).lines]


def test_a_run_keeps_what_is_printed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with start(store) as run:
        run.listen_to_console()
        say("one")
        sys.stderr.write("two\nthree\n")
        sys.stdout.write("no end")
    say("after the run")
    out = capsys.readouterr()
    assert out.out == "one\nno endafter the run\n"
    assert out.err == "two\nthree\n"
    found = texts(store, run.id)
    assert sorted(found) == [("stderr", "three"), ("stderr", "two"), ("stdout", "no end"), ("stdout", "one")]
    assert [text for stream, text in found if stream == "stdout"] == ["one", "no end"]
    (sealed,) = store.queries.ask(ConsoleOf(run=run.id))
    assert (sealed.lines, sealed.cut) == (4, 0)
    assert sealed.blob.held in store.queries.ask(HeldDigests())


def test_what_is_printed_is_seen_while_the_run_goes_on(store: Store) -> None:
    with start(store) as run:
        run.listen_to_console()
        say("early")
        assert run._console is not None  # pyright: ignore[reportPrivateUsage]
        run._console.flush()  # pyright: ignore[reportPrivateUsage]
        assert texts(store, run.id) == [("stdout", "early")]
        looks = iter((True, False))

        def going_on() -> bool:
            say("late")
            return next(looks)

        followed = [line.text for line in follow_console(store, run.id, lambda: _flushed(run, going_on))]
    assert followed == ["early", "late", "late"]


def _flushed(run: Any, going_on: Any) -> bool:
    answer = going_on()
    run._console.flush()
    return answer


def test_who_raises_leaves_the_traceback(store: Store) -> None:
    with pytest.raises(ValueError, match="no good"), start(store) as run:
        run.listen_to_console()
        raise ValueError("no good")
    assert texts(store, run.id)[-1] == ("stderr", "ValueError: no good")


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        (["a\nb\n"], ["a", "b"]),
        (["a", "b", "\n", "c"], ["ab", "c"]),
        (["10%\r", "20%\r", "100%\n"], ["100%"]),
        (["\r10%", "\r20%", "\r100%\n", "done\n"], ["100%", "done"]),
        (["windows\r\n"], ["windows"]),
        (["\n", "\n"], ["", ""]),
        (["\x1b[2K\x1b[1A\x1b[31mred\x1b[0m\n"], ["\x1b[31mred\x1b[0m"]),
        (["\ud800 alone\n"], ["? alone"]),
    ],
)
def test_lines_and_progress_bars(parts: list[str], lines: list[str]) -> None:
    assert printed(*parts) == lines


def test_a_bar_that_moves_is_seen_once_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_log, "PROGRESS_SECONDS", -1.0)
    journal: Any = MemoryJournal()
    log = ConsoleLog(journal, RUN, "0")
    seen: list[list[str]] = []
    for part in ("\r10%", "\r20%", "\r100%\n"):
        log.print(0, part)
        log.flush()
        (segment,) = journal.list_data()
        payloads = [record.payload for record in journal.read_data(segment.header.segment)]
        seen.append([line.text for line in collect_lines(payloads).lines])
    log.close()
    assert seen == [["10%"], ["20%"], ["100%"]]


def test_credentials_never_enter() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIBVgIBADANBg\n-----END PRIVATE KEY-----\n"
    lines = printed("token=ghp_abcdefghijklmnopqrstuvwxyz0123456789\n", key, "after\n")
    assert lines == ["token=[redacted]", "[redacted]", "after"]


def test_too_much_is_cut_and_counted() -> None:
    journal: Any = MemoryJournal()
    log = ConsoleLog(journal, RUN, "0", head_bytes=2_000)
    for number in range(10_000):
        log.print(0, f"line {number}\n")
        if number % 100 == 0:
            log.flush()
    (segment,) = log.close()[0]
    part = collect_lines(record.payload for record in journal.read_data(segment))
    lines = [line.text for line in part.lines]
    assert lines[0] == "line 0"
    assert lines[-1] == "line 9999"
    (mark,) = [place for place, line in enumerate(lines) if "are not kept" in line]
    assert len(lines) - 1 - mark == console_log.TAIL_LINES
    assert part.cut == 10_000 - (len(lines) - 1)
    assert mark > 10


def test_who_keeps_the_stream_is_heard_and_all_is_restored() -> None:
    stream, before = io.StringIO(), sys.stdout
    handler: Any = logging.StreamHandler(stream)
    journal: Any = MemoryJournal()
    outer, inner = ConsoleLog(journal, RUN, "0"), ConsoleLog(journal, RUN, "1")

    class Printed(io.TextIOWrapper):
        pass

    target = Printed(io.BytesIO(), write_through=True)
    sys.stdout = target
    try:
        handler.setStream(target)
        capture(outer)
        capture(inner)
        handler.emit(logging.LogRecord("x", 20, "f", 1, "logged", None, None))
        release(outer)
        say("only inner")
        release(inner)
        release(inner)
        say("nobody")
        assert "write" not in target.__dict__
    finally:
        sys.stdout = before
    assert target.buffer.getvalue() == b"logged\nonly inner\nnobody\n"  # pyright: ignore[reportAttributeAccessIssue]
    for log, lines in ((outer, ["logged"]), (inner, ["logged", "only inner"])):
        (segment,) = log.close()[0]
        assert [line.text for line in collect_lines(each.payload for each in journal.read_data(segment)).lines] == lines


def test_printing_goes_on_where_the_disk_does_not(caplog: pytest.LogCaptureFixture) -> None:
    class Full(MemoryJournal):
        def open_data(self, header: Any) -> Any:
            raise Unavailable("the disk is full", code="journal.unavailable")

    journal: Any = Full()
    log = ConsoleLog(journal, RUN, "0")
    written = io.StringIO()
    with contextlib.redirect_stdout(written), caplog.at_level(logging.WARNING, "charkh"):
        capture(log)
        for number in range(50):
            say(number)
            log.flush()
        release(log)
    assert written.getvalue().splitlines() == [str(number) for number in range(50)]
    segments, lost = log.close()
    assert (segments, lost) == ([], 50)
    assert len(caplog.records) == 1


def test_threads_print_whole_lines(store: Store) -> None:
    with start(store) as run:
        run.listen_to_console()

        def work(name: int) -> None:
            for number in range(200):
                sys.stdout.write(f"{name} {number}\n")

        threads = [threading.Thread(target=work, args=[name]) for name in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    found = [text for _, text in texts(store, run.id)]
    assert sorted(found) == sorted(f"{name} {n}" for name in range(4) for n in range(200))


def test_the_child_of_a_fork_prints_as_itself(tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path, RUN)
    log = ConsoleLog(journal, RUN, "0")
    log.print(0, "of the parent\n")

    def work() -> None:
        # Nobody says that it ends: it must have been written when it was printed.
        log.print(0, "of the child\n")

    in_child(work)
    log.close()
    found = {
        segment.header.writer: [
            line.text
            for line in collect_lines(each.payload for each in journal.read_data(segment.header.segment)).lines
        ]
        for segment in journal.list_data()
    }
    journal.close()
    assert found.pop("0") == ["of the parent"]
    ((writer, lines),) = found.items()
    assert writer.startswith("0.")
    assert lines == ["of the child"]


@given(st.lists(st.builds(PrintedLine, st.floats(0, 1e10), st.integers(0, 1), st.text(max_size=30)), max_size=30))
def test_a_blob_gives_back_its_lines(lines: list[PrintedLine]) -> None:
    assert list(decode_console_blob(encode_console_blob(lines))) == lines


def test_long_logs_are_in_blocks() -> None:
    lines = [PrintedLine(float(number), 0, str(number)) for number in range(BLOCK_LINES * 2 + 1)]
    assert list(decode_console_blob(encode_console_blob(lines))) == lines


@given(st.binary(max_size=60))
def test_garbage_is_no_console(garbage: bytes) -> None:
    with pytest.raises(Corrupt):
        list(decode_console_blob(b"charkh console 1\n" + b"\x04\0\0\0" + garbage))
    if garbage != MAGIC:
        with pytest.raises(Corrupt):
            list(decode_console_blob(garbage))
