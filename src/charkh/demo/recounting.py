"""The story of the year: read back from the store, shared with a colleague, and asked about as clients would."""

from collections.abc import Sequence

from charkh.cards.index import CardOf
from charkh.cards.record import read_markdown
from charkh.checks.index import Checks
from charkh.core.errors import Unavailable
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.demo.asking import ask, ask_as_client, ask_as_mlflow, best_run, run_seeds, seed_lines
from charkh.demo.client import request_of, up
from charkh.demo.desk import Desk
from charkh.demo.lived import Lived
from charkh.demo.names import ENDPOINT, LOOP, MODEL, MONITOR, Say
from charkh.demo.observing import certificate_lines, compiled_lines, log_line, told_line, trial_lines
from charkh.demo.story import AskedLine, ColleagueLine, QuarantineLine, Story
from charkh.demo.telling import (
    answer_lines,
    auc_of,
    batch_lines,
    candidates,
    chosen,
    decided,
    decision_line,
    month_lines,
)
from charkh.endpoints.read import predictions
from charkh.evaluations.details import read_details
from charkh.evaluations.index import EvaluationsOf
from charkh.models.find import find as find_model
from charkh.workspace.loop_page import decision_page
from charkh.workspace.serving import preparing
from charkh.workspace.syncing import sync
from charkh.workspace.token import token_of
from charkh.workspace.tracing import render, trace_in
from charkh.workspace.workspace import Workspace, open_workspace


def recount(workspace: Workspace, desk: Desk, lived: Lived, say: Say) -> Story:
    """Tell the year that was lived through in a workspace.

    Args:
        workspace: with all that the year left in its store.
        desk: that was told of alerts.
        lived: what was noted along the way.
        say: told what is under way.
    """
    store, folder = workspace.store, workspace.folder
    settings = workspace.settings.endpoint[ENDPOINT]
    with lived.timed("telling"):
        decisions = decided(store, LOOP)
        made = candidates(store, decisions)
        lines = tuple(decision_line(store, each) for each in decisions)
        months = month_lines(store, ENDPOINT, made, lived.reports, preparing(store, settings.recipes))
        first = find_model(store, made[0].version)
        evaluation = store.queries.ask(EvaluationsOf(subject=first.subject))[0]
        details = read_details(store, evaluation)
        last = predictions(store, ENDPOINT, shadows=False)["prediction_id"][-1]
        champion = find_model(store, f"{MODEL}@champion")
        card = store.queries.ask(CardOf(about=champion.subject))
        newest = store.queries.ask(Checks())[0]
        trace = "\n".join(render(trace_in(store, last)))
        promoted = [each for each in decisions if each.decided.outcome == "promoted"][-1]
    with lived.timed("asking which month changed what"):
        batches = batch_lines(store)
    with lived.timed("sharing with a colleague"):
        colleague = _shared(workspace, last, trace, say)
    with lived.timed("some seeds of two choices"):
        run_seeds(folder, chosen(store, champion))
        seeds, verdict = seed_lines(store)
        say(f"  {verdict}")
    with lived.timed("asking, and taking away"):
        asked = ask(folder, best_run(store))
        clients, conformance = _asked_as_clients(workspace)
    return Story(
        versions=tuple(lived.versions),
        quarantine=tuple(
            QuarantineLine(reason=count.reason or count.rule, rows=count.failed)
            for count in newest.ran.counts
            if count.failed and count.severity == "error"
        ),
        quarantined_of=newest.ran.rows,
        months=tuple(months),
        decisions=lines,
        first=auc_of(details.scores),
        slices=tuple(
            (f"{part.column}={part.value}", part.rows, auc_of(part.scores)) for part in details.slices if part.published
        ),
        traced=last,
        trace=trace,
        batches=batches,
        colleague=colleague,
        card=read_markdown(store, card) if card is not None else "",
        answers=answer_lines(store, made, lines, months),
        seeds=seeds,
        seeds_verdict=verdict,
        asked=(*asked, *clients),
        compiled=compiled_lines(store, made),
        trials=trial_lines(store, ENDPOINT, lived.tried_in),
        certificate=certificate_lines(store, champion),
        log=log_line(store, ENDPOINT, settings, lived.reports[lived.last].lateness),
        told=told_line(store, MONITOR, desk, lived.secret),
        meters=lived.meters,
        conformance=conformance,
        page=decision_page(store, promoted.id),
        seconds=dict(lived.seconds),
    )


def _asked_as_clients(workspace: Workspace) -> tuple[Sequence[AskedLine], str]:
    """What clients are told; a machine too busy to start one more server does not spoil the year."""
    try:
        with up(workspace.folder, token_of(workspace.store_folder)) as client:
            rows = read_table(workspace.store, find_dataset(workspace.store, "schedule")).tail(5)
            line, conformance = ask_as_client(workspace.folder, client, request_of(rows))
            return (ask_as_mlflow(client), line), conformance
    except Unavailable as error:
        why = "What clients of MLflow and of the Open Inference Protocol are answered"
        return (AskedLine(why=why, command="", said=error.message, answered=False),), ""


def _shared(workspace: Workspace, prediction: str, trace: str, say: Say) -> ColleagueLine:
    """Everything goes to the shared folder, a colleague takes it, and walks the same prediction back."""
    sync(workspace)
    folder = workspace.folder
    place = folder / "colleague"
    place.mkdir()
    # A file of its own makes it a workspace of its own, although it lies inside of another.
    (place / "charkh.toml").touch()
    with open_workspace(place, create=True) as other:
        taken = sync(other, str(folder / "shared"))
        again = sync(other, str(folder / "shared"))
        same = "\n".join(render(trace_in(other.store, prediction))) == trace
    say(f"  a colleague took {taken.facts_taken:,} facts and {taken.bytes_taken / 1e6:.1f} MB through a folder")
    return ColleagueLine(
        facts=taken.facts_taken,
        size=taken.bytes_taken,
        again=again.facts_taken + again.facts_sent + again.packs_taken + again.packs_sent,
        same_trace=same,
    )
