"""Make the small workspace that later versions must open for ever: tests/compat/format-N.tar.gz.

    .venv/bin/python scripts/make_compat_workspace.py tests/compat/format-1.tar.gz

Run it once at the release that introduces a format; a released archive is never made again. It holds at least
one event of every kind, sealed and open segments of facts and of records, and an erasure. The views (catalog and
index) are left out: they are folded from what is there.
"""

import io
import os
import socket
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from sklearn.linear_model import LogisticRegression

from charkh.assets.erase import erase
from charkh.cards.make import make_card
from charkh.checks.document import parse_suite
from charkh.checks.record import record as record_check
from charkh.checks.run import run as run_check
from charkh.core.config import GateSettings
from charkh.core.dimensions import search
from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.events import Draft, Edge, Event, decode_event
from charkh.core.loop_settings import LoopSettings
from charkh.core.params import Params
from charkh.datasets.add import add_files, add_table
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.delete import delete as delete_dataset
from charkh.endpoints.answer import predict_records
from charkh.endpoints.deploy import stop
from charkh.evaluations.score import evaluate
from charkh.loops.loop import Candidate
from charkh.loops.turn import turn
from charkh.models.alias import move_alias
from charkh.models.delete import delete as delete_model
from charkh.models.model import ModelVersion
from charkh.models.register import register
from charkh.models.roll_back import roll_back
from charkh.monitors.collect import collect
from charkh.pipelines.forget import forget
from charkh.pipelines.pipeline import pipeline
from charkh.pipelines.run import run_pipeline
from charkh.pipelines.step import step
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store
from charkh.recipes.document import parse_recipe
from charkh.recipes.record import record as record_recipe
from charkh.runs.delete import delete_run
from charkh.runs.start import start
from charkh.studies.tune import tune
from charkh.testing.children import in_child
from charkh.workspace.ambient import use
from charkh.workspace.sealing import seal_all
from charkh.workspace.serving import make_servable
from charkh.workspace.workspace import Workspace, open_workspace

VIEWS = ("catalog.sqlite", "index.sqlite", "lock")
FLIGHTS = pl.DataFrame(
    {
        "flight": list(range(40)),
        "origin": ["EWR", "JFK"] * 20,
        "wind": [float(number % 7) for number in range(40)],
        "late": [int(number % 7 > 3) for number in range(40)],
    }
)
RECIPE = """{"recipe": 1, "description": "Tidy", "steps": [{"op": "trim", "columns": ["origin"]}]}"""
SUITE = """
format = 1
description = "Flights"
[[rule]]
check = "one_of"
column = "origin"
values = ["EWR"]
"""


class Rate(Params):
    """What the study varies."""

    rate: float = search(0.1, low=0.01, high=1.0)


@step
def double(value: int) -> int:
    """A cached step."""
    return value * 2


@step
def stumble(value: int) -> int:
    """A step that fails."""
    raise ValueError(f"{value} is too much")


@pipeline
def twice() -> int:
    """A pipeline that succeeds."""
    return double(21)


@pipeline
def never() -> int:
    """A pipeline that fails."""
    return stumble(1)


def fill(folder: Path) -> None:
    """Everything, in the order in which a person would do it."""
    with open_workspace(folder, create=True) as workspace, use(workspace):
        flights = _datasets(workspace, folder)
        _runs(workspace, flights)
        _pipelines_and_studies(workspace, folder)
        models = _models(workspace, flights)
        _judged(workspace, flights, models)
        _serving(workspace, models)
        _loop(workspace, flights, models)
        _from_the_future(workspace.store)
        seal_all(workspace)
    in_child(lambda: _leave_open(folder))


def _datasets(workspace: Workspace, folder: Path) -> DatasetVersion:
    store = workspace.store
    add_table(store, "flights", FLIGHTS[:20], message="January")
    flights = add_table(store, "flights", FLIGHTS[20:], append=True, message="February")
    notes = folder / "notes"
    notes.mkdir()
    (notes / "kept.txt").write_text("kept\n")
    (notes / "secret.txt").write_text("the secret of format 1\n")
    version = add_files(store, "notes", [notes], as_files=True)
    (secret,) = [entry for entry in store.vault.entries(version.made.tree.root) if entry.path.endswith("secret.txt")]
    erase(store, secret.file, reason="It should not have been added.", instead=b"erased\n")
    _wide(store, folder / "wide")
    gone = add_table(store, "gone", FLIGHTS[:1])
    delete_dataset(store, gone.ref)
    recipe = record_recipe(store, parse_recipe(RECIPE), "tidy")
    origins = [("prepared_with", recipe.subject), ("derived_from", flights.subject)]
    add_table(store, "tidied", FLIGHTS)
    add_table(store, "tidied", FLIGHTS, origins=origins)
    result = run_check(parse_suite(SUITE), FLIGHTS)
    record_check(store, "origins", result, about=flights.subject)
    return flights


def _wide(store: Store, wide: Path) -> None:
    """A tree with branches, a content with a chunk list, an empty file, and one that may be executed."""
    wide.mkdir()
    for number in range(400):
        (wide / f"{number:03}.txt").write_text("one of many\n")
    (wide / "empty").touch()
    (wide / "run.sh").write_text("#!/bin/sh\n")
    (wide / "run.sh").chmod(0o755)
    (wide / "z\u00fcrich.csv").write_text("".join(f"{row},{row * row % 9973}\n" for row in range(8_000)))
    add_files(store, "wide", [wide], as_files=True)


def _from_the_future(store: Store) -> None:
    """What a later charkh may say in this format: a kind that nobody knew, and more about a kind that all know."""
    file = store.vault.put_bytes(b"a planet\n")
    store.vault.flush()
    found = {"name": "Vulcan", "moons": [1, None, {"name": "x"}], "file": list(msgspec.to_builtins(file))}
    edges = (Edge("planet:1", "orbits", "star:1"),)
    store.record(
        Draft(
            kind="planet.found/7", subject="planet:1", body=found, edges=edges, facts={"far": True}, holds=(file.held,)
        )
    )
    tagged = {"run": "f" * 32, "tags": {"team": "moon"}, "color": "red", "because": {"of": [1.5, b"x"]}}
    store.record(Draft(kind="run.tagged/1", subject="run:" + "f" * 32, body=tagged))


def _runs(workspace: Workspace, flights: DatasetVersion) -> None:
    store = workspace.store
    for number, name in enumerate(["first", "second", "forgotten"]):
        with start(store, name=name, params={"rate": 0.1 * (number + 1)}, tags={"team": "delay"}) as run:
            run.use(flights.subject)
            for step_number in range(10):
                run.log({"loss": 1.0 / (step_number + 1)}, step=step_number)
            run.log({"loss": float("nan"), "rate": -0.0}, step=2**53 + 1, context="val")
            run.add_artifact("notes/hello.txt", b"hello from format 1\n")
        if name == "forgotten":
            delete_run(store, run.id)


def _pipelines_and_studies(workspace: Workspace, folder: Path) -> None:
    store = workspace.store
    run_pipeline(store, twice, folder=folder)
    try:
        run_pipeline(store, never, folder=folder)
    except ValueError as error:
        sys.stderr.write(f"as planned: {error}\n")
    forget(store, older_than=0.0)
    tune(store, lambda params: -abs(params.rate - 0.3), Rate, name="rates", trials=3)


def _models(workspace: Workspace, flights: DatasetVersion) -> list[ModelVersion]:
    store = workspace.store
    rows, late = FLIGHTS["wind"].to_numpy().reshape(-1, 1), FLIGHTS["late"].to_numpy()
    models = [
        register(
            store,
            "delay",
            _fitted(strength, rows, late),
            runtimes=workspace.runtimes,
            example=rows[:2],
            datasets=[flights.id],
            metrics={"auc": 1.0},
            description=f"Strength {strength}.",
        )
        for strength in (0.5, 1.0, 2.0)
    ]
    move_alias(store, "delay@1", "champion", reason="the first")
    move_alias(store, "delay@2", "champion", reason="better")
    roll_back(store, "delay", reason="it was not")
    move_alias(store, "delay@2", "challenger")
    delete_model(store, "delay@3")
    return models


def _fitted(strength: float, rows: Any, late: Any) -> Any:
    model: Any = LogisticRegression(C=strength)
    return model.fit(rows, late)


def _judged(workspace: Workspace, flights: DatasetVersion, models: list[ModelVersion]) -> None:
    store = workspace.store
    scores = FLIGHTS["wind"] / 7.0
    evaluate(
        store,
        about=models[0].subject,
        truth=FLIGHTS["late"],
        scores=scores,
        on=flights.subject,
        metrics=["auc"],
        slices={"origin": FLIGHTS["origin"]},
        model="delay",
        rounds=50,
        min_rows=5,
    )
    make_card(store, models[0].subject)


def _serving(workspace: Workspace, models: list[ModelVersion]) -> None:
    servable: Any = make_servable(workspace, "delay", EndpointSettings(model="delay@champion"), models[0], [])
    (name,) = [spec.name for spec in servable.signature.inputs]
    for wind in (1.0, 6.0):
        predict_records(servable, f'[{{"{name}": [{wind}]}}]'.encode())
    servable.log.close()
    make_servable(workspace, "old", EndpointSettings(model="delay@1"), models[0], [])
    stop(workspace.store, "old", reason="nobody asks it")
    live = FLIGHTS.with_columns(pl.col("wind") + 5.0)
    collect(
        workspace.store, "delay", reference=FLIGHTS, live=live, endpoint="delay", columns=["wind"], alerts=["psi > 0.1"]
    )


def _loop(workspace: Workspace, flights: DatasetVersion, models: list[ModelVersion]) -> None:
    settings, gate = LoopSettings(on="monitor:delay", run="twice"), GateSettings(require=("auc >= 2",))
    candidate = Candidate(model=models[1].ref, judged_on=flights.subject)
    turn(workspace.store, "delay", settings, gate, lambda _trigger: candidate, by_hand=True)


def _leave_open(folder: Path) -> None:
    """A process that dies: facts and points that nobody has sealed."""
    workspace = open_workspace(folder)
    run = start(workspace.store, name="died", params={"rate": 0.9})
    run.log({"loss": 0.25}, step=7)
    workspace.journal.open_data(
        DataHeader(segment="0" * 31 + "1", content="console", subject=run.subject, labels={"stream": "out"})
    ).append(b"a line of the console")


def pack(folder: Path, archive: Path) -> None:
    """The store without its views, owned by nobody, at one time."""
    with tarfile.open(archive, "w:gz", compresslevel=9) as tar:
        for path in sorted((folder / ".charkh").rglob("*")):
            if path.is_file() and not path.name.startswith(VIEWS):
                data = path.read_bytes()
                entry = tarfile.TarInfo(str(path.relative_to(folder)))
                entry.size, entry.mode = len(data), 0o600
                tar.addfile(entry, io.BytesIO(data))


def kinds(folder: Path) -> dict[str, int]:
    """How many events of each kind there are."""
    counts: dict[str, int] = {}
    with open_workspace(folder) as workspace:
        events: list[Event] = [decode_event(each) for batch in workspace.journal.read({}) for each in batch.payloads]
    for event in events:
        counts[event.kind] = counts.get(event.kind, 0) + 1
    return counts


def main(archive: Path) -> None:
    os.environ.update(CHARKH_ACTOR="ann@laptop", LOGNAME="ann")
    socket.gethostname = lambda: "laptop"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder)
        pack(folder, archive)
        for kind, count in sorted(kinds(folder).items()):
            sys.stderr.write(f"{count:4} {kind}\n")
    sys.stderr.write(f"{archive}: {archive.stat().st_size} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
