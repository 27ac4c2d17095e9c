"""Event files that are damaged: what can be read is kept, what cannot is said, and nothing else happens."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.bridges.tensorboard.event_file import EventFile
from charkh.bridges.tensorboard.events import Event, Metadata, Value
from charkh.bridges.tensorboard.importing import import_logdir
from charkh.bridges.tensorboard.projector import parse_config
from charkh.bridges.tensorboard.reader import EventReader, FileState, Stretch
from charkh.core.errors import Corrupt
from charkh.runs.history import metric_history
from charkh.workspace.workspace import open_workspace

STEPS = 40
NAME = "events.out.tfevents.1700000000.host.1.0"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Scalars, and a tensor that says its plugin, as some writers have them."""
    path = tmp_path_factory.mktemp("events") / NAME
    file = EventFile(path, 1.7e9)
    for step in range(STEPS):
        file.add(Event(time=1.7e9 + step, step=step, values=(Value(tag="loss", simple=float(step)),)))
    file.add(Event(time=1.7e9, values=(Value(tag="x", tensor=b"\x08\x07", metadata=Metadata(plugin="text")),)))
    file.close()
    return path.read_bytes()


def read_all(path: Path) -> list[Stretch]:
    reader, found = EventReader(FileState(identity="x")), list[Stretch]()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while (stretch := reader.read(descriptor, 512)).records or stretch.damage:
            found.append(stretch)
            if not stretch.records:
                break
    finally:
        os.close(descriptor)
    return found


def steps_of(found: list[Stretch]) -> list[int]:
    return [step for each in found for points in each.points if points.tag == "loss" for step in points.steps.tolist()]


@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_costs_one_record(
    data: st.DataObject, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = data.draw(st.integers(0, len(content) - 1))
    broken = bytearray(content)
    broken[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flipped") / NAME
    path.write_bytes(broken)
    found = read_all(path)
    steps = steps_of(found)
    assert len(steps) >= STEPS - 1
    assert steps == sorted(set(steps))
    told = [damage for each in found for damage in each.damage]
    assert told
    assert all(0 <= each.offset <= place for each in told)


@settings(max_examples=30)
@given(garbage=st.binary(max_size=2000), place=st.integers(0, 3000))
def test_garbage_anywhere_harms_nothing_else(
    garbage: bytes, place: int, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    at = min(place, len(content))
    path = tmp_path_factory.mktemp("garbage") / NAME
    path.write_bytes(content[:at] + garbage + content[at:])
    missing = set(range(STEPS)) - set(steps_of(read_all(path)))
    assert len(missing) <= 1


def test_the_rest_is_imported_and_the_damage_is_said(content: bytes, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    for name in ("sound", "broken", "empty", "text"):
        (logs / name).mkdir(parents=True)
    (logs / "sound" / NAME).write_bytes(content)
    (logs / "broken" / NAME).write_bytes(content[:300] + b"\0" * 50 + content[350:])
    (logs / "empty" / NAME).write_bytes(b"")
    (logs / "text" / NAME).write_bytes(b"this is no event file at all, and never was one\n" * 10)
    with open_workspace(tmp_path / "workspace", create=True) as workspace:
        report = import_logdir(workspace, logs)
        told = {each.name: each.trouble for each in report.runs}
        assert any("byte" in each for each in told["broken"])
        assert "length of a record is damaged" in told["text"][0]
        runs = {each.name: each.run for each in report.runs}
        assert len(metric_history(workspace.store, runs["sound"], "loss")) == STEPS
        assert len(metric_history(workspace.store, runs["broken"], "loss")) >= STEPS - 3
        # It is said once, and a second import is quiet about it.
        assert all("broken" not in each.name for each in import_logdir(workspace, logs).runs)


@pytest.mark.parametrize(
    "text",
    ["embeddings {", "embeddings }", "a: ", "embeddings " * 5 + "{" * 30, "}"],
)
def test_a_broken_projector_config_is_refused(text: str) -> None:
    with pytest.raises(Corrupt):
        parse_config(text)


def test_a_projector_config_reads_nothing_outside_its_folder(content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "a"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(content)
    (tmp_path / "secret.tsv").write_text("1\t2\n")
    (folder / "link.tsv").symlink_to(tmp_path / "secret.tsv")
    for name in ("../../secret.tsv", str(tmp_path / "secret.tsv"), "link.tsv"):
        config = f'embeddings {{ tensor_name: "x" tensor_path: "{name}" }}'
        (folder / "projector_config.pbtxt").write_text(config)
        with open_workspace(tmp_path / f"workspace-{len(name)}", create=True) as workspace:
            (report,) = import_logdir(workspace, tmp_path / "logs").runs
            assert any("lies outside" in each for each in report.trouble)
