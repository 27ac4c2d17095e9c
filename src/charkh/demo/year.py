"""The flights year, month by month: arrive, predict, learn the truth, watch, retrain, judge, try."""

from pathlib import Path

import polars as pl

from charkh.core.errors import Bug
from charkh.core.rollout_settings import RolloutSettings
from charkh.datasets.add import add_table
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.datasets.table import Table
from charkh.demo.asking import (
    run_script,
    tell_the_desk,
)
from charkh.demo.client import InferenceClient, served
from charkh.demo.desk import Desk, open_desk
from charkh.demo.laying import lay_out
from charkh.demo.lived import Lived
from charkh.demo.months import end_of, name_of
from charkh.demo.names import ENDPOINT, LOOP, MODEL, MONITOR, Say
from charkh.demo.observing import meter_lines
from charkh.demo.recounting import recount
from charkh.demo.source import arrive, write_months
from charkh.demo.story import Story, VersionLine
from charkh.demo.trying import Requests, try_candidate, wait_for_end, wait_for_version
from charkh.endpoints.rollouts.move import begin_rollout
from charkh.loops.loop import Decision
from charkh.models.find import find as find_model
from charkh.models.index import ModelById
from charkh.workspace.ambient import use
from charkh.workspace.fetching import fetch
from charkh.workspace.tables import recipe
from charkh.workspace.token import token_of
from charkh.workspace.turning import turn_loop
from charkh.workspace.watching import watch
from charkh.workspace.workspace import Workspace, open_workspace

FIRST = range(1, 4)
DECEMBER = 12
DAY = 86_400.0


class Year:
    """The replay of 2013 in one workspace.

    Args:
        workspace: fresh, with the demo's settings, recipes and checks.
        incoming: where the month's files lie.
        desk: that is told of alerts.
        say: told what is under way, one line at a time.
        last: the last month of 2013 to live through, from April on.
    """

    def __init__(self, workspace: Workspace, incoming: Path, desk: Desk, say: Say, last: int = DECEMBER) -> None:
        self._later = range(FIRST.stop, last + 1)
        self._workspace = workspace
        self._store = workspace.store
        self._desk = desk
        self._say = say
        self._lived = Lived(last=last)
        self._incoming = incoming
        with self._lived.timed("splitting the year into months"):
            self._months = write_months(incoming)

    def live(self) -> Story:
        """Live through the year and tell it."""
        self._begin()
        with served(self._workspace.folder, token_of(self._workspace.store_folder), ENDPOINT) as client:
            for month in self._later:
                self._month(month, client)
            with self._lived.timed("a colleague in a hurry"):
                self._hurry()
            self._lived.meters = meter_lines(client.read("/metrics").decode())
        with self._lived.timed("learning the truth"):
            self._truth(self._later[-1])
        return recount(self._workspace, self._desk, self._lived, self._say)

    def _begin(self) -> None:
        """January to March, whose truth is known, and the first champion."""
        with self._lived.timed("collecting and versioning"):
            for month in FIRST:
                self._arrive(*self._months[month])
            for source in ("planes", "weather", "schedule", "flights"):
                self._fetch(source)
            for month in FIRST:
                self._learn(month, known=FIRST.stop - 1)
        self._turn(3, by_hand=True)
        with self._lived.timed("telling the desk"):
            self._lived.secret = tell_the_desk(self._workspace.folder, self._desk.address)

    def _month(self, month: int, client: InferenceClient) -> None:
        """One month arrives, is predicted, and the truth of the month before is learnt."""
        with self._lived.timed("collecting and versioning"):
            self._arrive(self._months[month][0])
            self._fetch("schedule")
        with self._lived.timed("predicting over HTTP"):
            wait_for_version(self._store, ENDPOINT, find_model(self._store, f"{MODEL}@champion").subject)
            rows = read_table(self._store, find_dataset(self._store, "schedule"), file=self._months[month][0])
            requests = Requests(rows, client)
            self._try(month, requests)
            requests.send()
            self._say(f"  {name_of(month)}: {requests.rows:,} flights predicted in {requests.sent} requests")
        with self._lived.timed("learning the truth"):
            if month - 1 not in FIRST:
                self._truth(month - 1)
        with self._lived.timed("watching"):
            self._lived.reports[month] = watch(self._workspace, MONITOR, moment=end_of(month))
        self._turn(month)

    def _try(self, month: int, requests: Requests) -> None:
        """Where a candidate waits to be tried, this month's requests try it."""

        def turn() -> Decision:
            return turn_loop(self._workspace, LOOP, moment=end_of(month - 1) + requests.days * DAY)

        shadow = self._workspace.settings.loop[LOOP].shadow
        decision = try_candidate(self._store, ENDPOINT, shadow, requests, turn)
        if decision is None:
            return
        subject = f"model:{decision.decided.candidate}"
        self._lived.tried_in.setdefault(subject, name_of(month))
        self._say(f"  {name_of(month)}, on live requests: {self._decision(decision)}")
        if decision.decided.outcome == "promoted":
            wait_for_version(self._store, ENDPOINT, subject)

    def _truth(self, month: int) -> None:
        """A month's full records arrive."""
        self._arrive(self._months[month][1])
        self._fetch("flights")
        self._learn(month, known=month + 1)

    def _learn(self, month: int, known: int) -> None:
        """From one month's records, which flights were late; that was known at the end of the month `known`."""
        version = find_dataset(self._store, "flights")
        rows = read_table(self._store, version, file=self._months[month][1])
        tidy = recipe("recipes/flights.json")(Table(rows, (version.subject,)))
        truth = tidy.frame.filter(pl.col("late").is_not_null()).select(
            "flight_id",
            "late",
            pl.col("scheduled_at").dt.date().alias("day"),
            pl.from_epoch(pl.lit(int(end_of(known)))).alias("known_at"),
        )
        add_table(
            self._store,
            "flights.truth",
            truth,
            file=f"truth-2013-{month:02d}.parquet",
            append=month != FIRST.start,
            origins=[("made_from", origin) for origin in tidy.origins],
        )

    def _turn(self, month: int, *, by_hand: bool = False) -> None:
        with self._lived.timed("training, trying and judging"):
            decision = turn_loop(self._workspace, LOOP, moment=end_of(month), by_hand=by_hand)
            if decision.decided.outcome == "trying":
                # The next turn begins what the last one decided: the server follows within a second.
                turn_loop(self._workspace, LOOP, moment=end_of(month))
        self._say(f"  end of {name_of(month)}: {self._decision(decision)}")

    def _decision(self, decision: Decision) -> str:
        """A decision in a line."""
        made = decision.decided
        version = self._store.queries.ask(ModelById(version=made.candidate)) if made.candidate else None
        return f"{f'{version.ref} ' if version is not None else ''}{made.outcome}: {made.reason}"

    def _hurry(self) -> None:
        """A colleague's model with a leak is let in by hand, as a shadow."""
        done = run_script(self._workspace.folder, "leak.py")
        ref, _, auc = done.partition(" ")
        version = find_model(self._store, ref)
        begun = begin_rollout(
            self._store,
            ENDPOINT,
            version.subject,
            settings=RolloutSettings(way="shadow", percent=100),
            reason=f"AUC {auc} on paper",
        )
        ended = wait_for_end(self._store, begun).ended
        assert ended is not None
        self._lived.tried_in[version.subject] = name_of(self._later[-1])
        self._say(f"  {ref}, in a hurry and by hand, AUC {auc} on paper: {ended.outcome}: {ended.reason}")

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
        self._lived.versions.append(
            VersionLine(ref=version.ref, rows=made.rows or 0, size=made.tree.size, stored=stored)
        )
        self._say(
            f"  {version.ref}: {made.rows or 0:,} rows, {made.tree.size / 1e6:.1f} MB, {stored / 1e6:.2f} MB stored"
        )


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
    with open_desk() as desk, open_workspace(folder) as workspace, use(workspace):
        return Year(workspace, folder / "incoming", desk, say, last).live()


def stored_bytes(workspace: Workspace) -> int:
    """Bytes of all packs."""
    return sum(info.size for info in workspace.blobs.list())
