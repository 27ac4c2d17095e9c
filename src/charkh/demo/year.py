"""The flights year, month by month: arrive, predict, learn the truth, watch, retrain, judge."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from charkh.cards.index import CardOf
from charkh.cards.record import read_markdown
from charkh.checks.index import Checks
from charkh.checks.trouble.batches import batch_changes
from charkh.core.errors import Bug, Conflict, Unavailable
from charkh.core.metrics import block_bootstrap, interval, roc_auc
from charkh.datasets.add import add_table
from charkh.datasets.batches import BATCH, batches, scan_batches
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.datasets.table import Table
from charkh.demo.asking import LEFT, ask, ask_as_mlflow, best_run, run_seeds, seed_lines
from charkh.demo.client import InferenceClient, served, up
from charkh.demo.source import arrive, write_months
from charkh.demo.story import (
    AnswerLine,
    AskedLine,
    BatchLine,
    ColleagueLine,
    DecisionLine,
    MonthLine,
    QuarantineLine,
    Score,
    Story,
    VersionLine,
)
from charkh.endpoints.read import predictions
from charkh.evaluations.details import read_details
from charkh.evaluations.evaluation import Score as MetricScore
from charkh.evaluations.index import EvaluationsOf
from charkh.loops.loop import Decision
from charkh.models.find import find as find_model
from charkh.models.index import ModelById
from charkh.models.model import ModelVersion
from charkh.monitors.collect import Report
from charkh.runs.find import by_id
from charkh.workspace.ambient import use
from charkh.workspace.fetching import fetch
from charkh.workspace.late_truth import scored
from charkh.workspace.serving import Prepare, preparing
from charkh.workspace.syncing import sync
from charkh.workspace.tables import recipe
from charkh.workspace.token import token_of
from charkh.workspace.tracing import render, trace_in
from charkh.workspace.training import load, scores_of
from charkh.workspace.turning import turn_loop
from charkh.workspace.watching import watch
from charkh.workspace.workspace import Workspace, open_workspace

MODEL = ENDPOINT = MONITOR = LOOP = "delay"
FIRST = range(1, 4)
DECEMBER = 12
WATCHED = ("carrier", "origin", "dest", "hour", "distance", "dep_delay", "arr_delay", "air_time")
"""Columns of the recorded flights whose changes from month to month are told."""
ROUNDS = 500
MARK = ".charkh-demo"
"""A folder with this file was made by the demo, and is made anew by the next."""
Say = Callable[[str], None]


class Candidate(NamedTuple):
    """A model that the loop made, and the month at whose end it did."""

    month: int
    version: str
    ref: str


class Year:
    """The replay of 2013 in one workspace.

    Args:
        workspace: fresh, with the demo's settings, recipes and checks.
        incoming: where the month's files lie.
        say: told what is under way, one line at a time.
        last: the last month of 2013 to live through, from April on.
    """

    def __init__(self, workspace: Workspace, incoming: Path, say: Say, last: int = DECEMBER) -> None:
        self._later = range(FIRST.stop, last + 1)
        self._workspace = workspace
        self._store = workspace.store
        self._say = say
        self._seconds: dict[str, float] = {}
        self._versions: list[VersionLine] = []
        self._decisions: list[DecisionLine] = []
        self._candidates: list[Candidate] = []
        self._reports: dict[int, Report] = {}
        self._incoming = incoming
        with self._timed("splitting the year into months"):
            self._months = write_months(incoming)

    def live(self) -> Story:
        """Live through the year and tell it."""
        self._begin()
        with served(self._workspace.folder, token_of(self._workspace.store_folder), ENDPOINT) as client:
            for month in self._later:
                self._month(month, client)
        with self._timed("learning the truth"):
            self._truth(self._later[-1])
        return self._told()

    def _begin(self) -> None:
        """January to March, whose truth is known, and the first champion."""
        with self._timed("collecting and versioning"):
            for month in FIRST:
                self._arrive(*self._months[month])
            for source in ("planes", "weather", "schedule", "flights"):
                self._fetch(source)
            for month in FIRST:
                self._learn(month)
        self._turn(3, by_hand=True)

    def _month(self, month: int, client: InferenceClient) -> None:
        """One month arrives, is predicted, and the truth of the month before is learnt."""
        with self._timed("collecting and versioning"):
            self._arrive(self._months[month][0])
            self._fetch("schedule")
        with self._timed("predicting over HTTP"):
            client.wait_for(str(find_model(self._store, f"{MODEL}@champion").made.number))
            rows = read_table(self._store, find_dataset(self._store, "schedule"), file=self._months[month][0])
            ids = client.infer(rows)
            self._say(f"  {name_of(month)}: {len(ids):,} flights predicted over HTTP")
        with self._timed("learning the truth"):
            if month - 1 not in FIRST:
                self._truth(month - 1)
        with self._timed("watching"):
            self._reports[month] = watch(self._workspace, MONITOR, moment=end_of(month))
        self._turn(month)

    def _truth(self, month: int) -> None:
        """A month's full records arrive."""
        self._arrive(self._months[month][1])
        self._fetch("flights")
        self._learn(month)

    def _learn(self, month: int) -> None:
        """From one month's records, which flights were late."""
        version = find_dataset(self._store, "flights")
        rows = read_table(self._store, version, file=self._months[month][1])
        tidy = recipe("recipes/flights.json")(Table(rows, (version.subject,)))
        known = tidy.frame.filter(pl.col("late").is_not_null()).select(
            "flight_id", "late", pl.col("scheduled_at").dt.date().alias("day")
        )
        add_table(
            self._store,
            "flights.truth",
            known,
            file=f"truth-2013-{month:02d}.parquet",
            append=month != FIRST.start,
            origins=[("made_from", origin) for origin in tidy.origins],
        )

    def _turn(self, month: int, *, by_hand: bool = False) -> None:
        with self._timed("training and judging"):
            decision = turn_loop(self._workspace, LOOP, moment=end_of(month), by_hand=by_hand)
        if decision.decided.outcome == "idle":
            return
        self._decisions.append(self._line(month, decision))
        if decision.decided.candidate:
            version = self._store.queries.ask(ModelById(version=decision.decided.candidate))
            assert version is not None
            self._candidates.append(Candidate(month, version.id, version.ref))
        self._say(f"  end of {name_of(month)}: {decision.decided.outcome}: {decision.decided.reason}")

    def _line(self, month: int, decision: Decision) -> DecisionLine:
        decided = decision.decided

        def ref(identifier: str) -> str:
            version = self._store.queries.ask(ModelById(version=identifier)) if identifier else None
            return version.ref if version is not None else ""

        return DecisionLine(
            month=name_of(month),
            outcome=decided.outcome,
            reason=decided.reason,
            trigger=decided.trigger_reason,
            candidate=ref(decided.candidate),
            champion=ref(decided.champion),
            looks=decided.looks,
            verdicts=decided.verdicts,
        )

    def _arrive(self, *names: str) -> None:
        for name in names:
            arrive(self._incoming, name)

    def _fetch(self, source: str) -> None:
        """What is new in a source becomes a version of its dataset."""
        before = stored_bytes(self._workspace)
        version = fetch(self._workspace, source).version
        if version is None:
            raise Bug(f"the source {source} had nothing new")
        stored = stored_bytes(self._workspace) - before
        made = version.made
        self._versions.append(VersionLine(ref=version.ref, rows=made.rows or 0, size=made.tree.size, stored=stored))
        self._say(
            f"  {version.ref}: {made.rows or 0:,} rows, {made.tree.size / 1e6:.1f} MB, {stored / 1e6:.2f} MB stored"
        )

    @contextlib.contextmanager
    def _timed(self, part: str) -> Generator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] = self._seconds.get(part, 0.0) + time.perf_counter() - begin

    def _told(self) -> Story:
        with self._timed("telling"):
            months = self._scored_months()
            first = find_model(self._store, self._candidates[0].version)
            evaluation = self._store.queries.ask(EvaluationsOf(subject=first.subject))[0]
            details = read_details(self._store, evaluation)
            last = predictions(self._store, ENDPOINT)["prediction_id"][-1]
            champion = find_model(self._store, f"{MODEL}@champion")
            card = self._store.queries.ask(CardOf(about=champion.subject))
            newest = self._store.queries.ask(Checks())[0]
            trace = "\n".join(render(trace_in(self._store, last)))
        with self._timed("asking which month changed what"):
            batches = self._batches()
        with self._timed("sharing with a colleague"):
            colleague = self._shared(last, trace)
        answers = self._answers(months)
        with self._timed("some seeds of two choices"):
            run_seeds(self._workspace.folder, self._chosen(champion))
            seeds, verdict = seed_lines(self._store)
            self._say(f"  {verdict}")
        with self._timed("asking, and taking away"):
            asked = ask(self._workspace.folder, best_run(self._store))
            asked = (*asked, self._asked_as_mlflow())
        return Story(
            versions=tuple(self._versions),
            quarantine=tuple(
                QuarantineLine(reason=count.reason or count.rule, rows=count.failed)
                for count in newest.ran.counts
                if count.failed and count.severity == "error"
            ),
            quarantined_of=newest.ran.rows,
            months=tuple(months),
            decisions=tuple(self._decisions),
            first=_auc_of(details.scores),
            slices=tuple(
                (f"{part.column}={part.value}", part.rows, _auc_of(part.scores))
                for part in details.slices
                if part.published
            ),
            traced=last,
            trace=trace,
            batches=batches,
            colleague=colleague,
            card=read_markdown(self._store, card) if card is not None else "",
            answers=answers,
            seeds=seeds,
            seeds_verdict=verdict,
            asked=asked,
            seconds=dict(self._seconds),
        )

    def _answers(self, months: Sequence[MonthLine]) -> tuple[AnswerLine, ...]:
        """Which params gave which score, of which version, and when that served."""
        decided = {line.candidate: line.outcome for line in self._decisions if line.candidate}
        lines: list[AnswerLine] = []
        for each in self._candidates:
            version = find_model(self._store, each.version)
            (evaluation,) = self._store.queries.ask(EvaluationsOf(subject=version.subject))[:1]
            served = [month.month for month in months if month.model == each.ref]
            searched = version.metrics.get("validation_auc")
            lines.append(
                AnswerLine(
                    model=each.ref,
                    run=f"run:{version.made.run}",
                    params=tuple((name, f"{value:.4g}") for name, value in self._chosen(version).items()),
                    searched=searched if isinstance(searched, float) else float("nan"),
                    held_out=_auc_of(read_details(self._store, evaluation).scores),
                    outcome=decided.get(each.ref, ""),
                    served=" to ".join(dict.fromkeys((served[0], served[-1]))) if served else "",
                )
            )
        return tuple(lines)

    def _asked_as_mlflow(self) -> AskedLine:
        """What an MLflow client is told; a machine too busy to start one more server does not spoil the year."""
        try:
            with up(self._workspace.folder, token_of(self._workspace.store_folder)) as client:
                return ask_as_mlflow(client)
        except Unavailable as error:
            return AskedLine(why="What an MLflow client is answered", command="", said=error.message, answered=False)

    def _chosen(self, version: ModelVersion) -> dict[str, float]:
        """The params that the search chose for a version."""
        run = by_id(self._store, version.made.run)
        return {name: float(run.params[name]) for name in ("rate", "leaves")}

    def _batches(self) -> tuple[BatchLine, ...]:
        """The greatest changes that a month brought, one for each column and month."""
        version = find_dataset(self._store, "flights")
        rows = scan_batches(self._store, version).select(*WATCHED, BATCH).collect()
        order = [each.ref for each in reversed(batches(self._store, version))]
        found: dict[tuple[str, str], BatchLine] = {}
        for each in batch_changes(rows, batch=BATCH, order=order):
            before, after = ("", "") if each.measure == "distribution" else (f"{each.before:.3g}", f"{each.after:.3g}")
            line = BatchLine(
                batch=each.batch,
                column=each.column or "(rows)",
                what=each.measure,
                before=before,
                after=after,
                effect=each.effect,
            )
            found.setdefault((each.batch, each.column), line)
        return tuple(found.values())[:8]

    def _shared(self, prediction: str, trace: str) -> ColleagueLine:
        """Everything goes to the shared folder, a colleague takes it, and walks the same prediction back."""
        sync(self._workspace)
        folder = self._workspace.folder
        place = folder / "colleague"
        place.mkdir()
        # A file of its own makes it a workspace of its own, although it lies inside of another.
        (place / "charkh.toml").touch()
        with open_workspace(place, create=True) as other:
            taken = sync(other, str(folder / "shared"))
            again = sync(other, str(folder / "shared"))
            same = "\n".join(render(trace_in(other.store, prediction))) == trace
        self._say(
            f"  a colleague took {taken.facts_taken:,} facts and {taken.bytes_taken / 1e6:.1f} MB through a folder"
        )
        return ColleagueLine(
            facts=taken.facts_taken,
            size=taken.bytes_taken,
            again=again.facts_taken + again.facts_sent + again.packs_taken + again.packs_sent,
            same_trace=same,
        )

    def _scored_months(self) -> list[MonthLine]:
        """Every month with what served it, what the first model and what the newest candidate would have scored."""
        prepare = self._prepare()
        logged = scored(predictions(self._store, ENDPOINT), prepare)
        truth = read_table(self._store, find_dataset(self._store, "flights.truth"))
        joined = logged.join(truth, on="flight_id").with_columns(month=pl.col("scheduled_at").dt.month())
        asked = dict(logged.group_by(pl.col("scheduled_at").dt.month()).len().iter_rows())
        return [
            self._month_line(month, joined.filter(pl.col("month") == month), asked.get(month, 0))
            for month in self._later
        ]

    def _month_line(self, month: int, rows: pl.DataFrame, asked: int) -> MonthLine:
        newest = [each for each in self._candidates if each.month < month][-1]
        first = self._candidates[0]
        report = self._reports[month]
        top = max(report.drift.columns, key=lambda column: column.psi)
        return MonthLine(
            month=name_of(month),
            predicted=asked,
            scored=rows.height,
            model=f"{MODEL}@{rows['version'][0]}",
            served=_score(rows, rows["score"]),
            frozen=_score(rows, scores_of(load(first.version).predict(rows))),
            unguarded=_score(rows, scores_of(load(newest.version).predict(rows))),
            unguarded_model=newest.ref,
            psi=top.psi,
            psi_feature=top.column,
            alerts=tuple(alert.reason for alert in report.alerts),
        )

    def _prepare(self) -> Prepare:
        names = self._workspace.settings.endpoint[ENDPOINT].recipes
        return preparing(self._store, names)


def live_through(folder: Path, say: Say, last: int = DECEMBER) -> Story:
    """Make a fresh workspace in `folder`, live through the year in it, and tell it.

    Args:
        folder: made anew where an earlier demo made it.
        say: told what is under way.
        last: the last month to live through, from April on.

    Raises:
        Conflict: the folder holds something else.
    """
    lay_out(folder)
    with open_workspace(folder) as workspace, use(workspace):
        return Year(workspace, folder / "incoming", say, last).live()


def lay_out(folder: Path) -> None:
    """The demo's own files, as a user would have them in a project."""
    here = Path(__file__).parent
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise Conflict(
                f"{folder} has something in it that is not the demo's",
                code="demo.folder_taken",
                hint="Name an empty folder with --folder, or one that an earlier demo made.",
            )
        shutil.rmtree(folder)
    places = {
        "charkh.toml": "charkh.toml",
        "flights.py": "flights.py",
        "seeds.py": "seeds.py",
        "flights.json": "recipes/flights.json",
        "features.json": "recipes/features.json",
        "flights.toml": "checks/flights.toml",
        "delay.md": "cards/delay.md",
    }
    for name, place in places.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here / name, target)
    (folder / MARK).touch()
    _commit(folder)


def _commit(folder: Path) -> None:
    """Make the folder a Git repository, where there is a git, so that every run names the code that it ran."""
    git = shutil.which("git")
    if git is None:
        return
    (folder / ".gitignore").write_text(
        f".charkh/\nincoming/\nshared/\ncolleague/\n{LEFT}/\nsigning.*\nserve.log\nreport.html\n__pycache__/\n",
        encoding="utf-8",
    )
    who = ["-c", "user.name=The flights year", "-c", "user.email=demo@charkh.invalid", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "-m", "The flights year"]):
        subprocess.run([git, "-C", str(folder), *arguments], check=True, capture_output=True)


def stored_bytes(workspace: Workspace) -> int:
    """Bytes of all packs."""
    return sum(info.size for info in workspace.blobs.list())


def name_of(month: int) -> str:
    """Such as `2013-04`."""
    return f"2013-{month:02d}"


def end_of(month: int) -> float:
    """Seconds since the epoch of the first moment after a month of 2013."""
    return datetime(2013 + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()


def _auc_of(scores: Sequence[MetricScore]) -> Score:
    found = next(score for score in scores if score.metric == "auc")
    nothing = float("nan")
    value, low, high = (nothing if each is None else each for each in (found.value, found.low, found.high))
    return Score(auc=value, low=low, high=high)


def _score(rows: pl.DataFrame, scores: pl.Series) -> Score:
    """AUC with a 95 % interval from a bootstrap over days."""
    truth, values = rows["late"].cast(pl.Int8).to_numpy(), scores.to_numpy()
    days = rows["day"].to_physical().to_numpy()
    low, high = interval(block_bootstrap(roc_auc, truth, values, np.asarray(days), rounds=ROUNDS))
    return Score(auc=roc_auc(truth, values), low=low, high=high)
